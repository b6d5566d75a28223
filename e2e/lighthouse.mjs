// Lighthouse over the project's own site and a fresh site of `kiln new`, mobile and desktop, with what the first view weighs.
// It prints a table and ends with status 1 where a score isn't 100: what depends on time is best of three. `make lighthouse`
// installs it; it is no part of the tests.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const dist = path.resolve(here, process.env.DIST ?? "../dist");
const kiln = path.resolve(here, process.env.KILN ?? "../target/release/kiln");
const FLAGS = "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync";
const CATEGORIES = ["performance", "accessibility", "best-practices", "seo"];
const RUNS_MAX = 3;
const FIRST_VIEW_BYTES_MAX = 14 * 1024;

async function serve(bundle) {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  const server = spawn(path.join(dist, "kilnd"), [bundle, "--listen", `127.0.0.1:${port}`], { stdio: "ignore" });
  const origin = `http://127.0.0.1:${port}`;
  for (let attempt = 0; attempt < 100; attempt += 1) {
    if ((await fetch(`${origin}/health`).catch(() => null))?.ok) return { origin, stop: () => server.kill() };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${bundle} is not served`);
}

async function run(url, form, folder) {
  const output = path.join(folder, "report.json");
  const words = [url, "--quiet", "--output=json", `--output-path=${output}`, `--only-categories=${CATEGORIES}`, "--ignore-status-code", `--chrome-flags=${FLAGS}`];
  if (form === "desktop") words.push("--preset=desktop");
  execFileSync(path.join(here, "node_modules/.bin/lighthouse"), words, { stdio: ["ignore", "ignore", "inherit"] });
  return JSON.parse(await readFile(output, "utf8"));
}

/** How many requests lead to the last one, the page's own included. */
function chainDepth(report) {
  const depth = (chains) => Math.max(0, ...Object.values(chains ?? {}).map(({ children }) => 1 + depth(children)));
  return depth(report.audits["critical-request-chains"]?.details?.chains);
}

function measure(report) {
  const items = report.audits["network-requests"].details.items;
  // A document with status 404 is an error on Chromium's console by itself; nothing else may be there.
  const errors = (report.audits["errors-in-console"].details?.items ?? []).filter(({ sourceLocation }) => sourceLocation?.url !== report.finalDisplayedUrl);
  const first = items.filter(({ resourceType }) => ["Document", "Stylesheet"].includes(resourceType));
  return {
    scores: CATEGORIES.map((name) => Math.round(report.categories[name].score * 100)),
    shift: report.audits["cumulative-layout-shift"].numericValue,
    bytes: first.reduce((sum, { transferSize }) => sum + transferSize, 0),
    depth: chainDepth(report),
    hasErrors: errors.length > 0,
    failed: Object.values(report.audits)
      .filter(({ score, scoreDisplayMode }) => score !== null && score < 0.9 && ["binary", "numeric", "metricSavings"].includes(scoreDisplayMode))
      .map(({ id }) => id),
  };
}

/** A page with status 404 can't please search engines, and its status is an error on the console. */
const isExcused = (category, score, { hasErrors }) => category === "seo" || (category === "best-practices" && score >= 96 && !hasErrors);

async function judge(name, url, form, folder) {
  const isMissing = name.includes("404");
  let best;
  for (let attempt = 0; attempt < RUNS_MAX; attempt += 1) {
    const found = measure(await run(url, form, folder));
    if (!best || found.scores[0] > best.scores[0]) best = found;
    if (best.scores[0] === 100) break;
  }
  const isGood = best.scores.every((score, index) => score === 100 || (isMissing && isExcused(CATEGORIES[index], score, best)))
    && best.shift === 0 && best.depth <= 2 && best.bytes <= FIRST_VIEW_BYTES_MAX;
  console.log(`${name.padEnd(24)} ${form.padEnd(8)} ${best.scores.map((score) => String(score).padStart(4)).join("")}   ${String(best.bytes).padStart(6)} bytes  shift ${best.shift}  chain ${best.depth}${isGood ? "" : `  ✖ ${best.failed.join(" ")}`}`);
  return isGood;
}

const folder = await mkdtemp(path.join(tmpdir(), "kiln-lighthouse-"));
const servers = [];
let isGood = true;
try {
  const fresh = path.join(folder, "fresh");
  execFileSync(kiln, ["new", fresh], { stdio: "ignore" });
  execFileSync(kiln, ["build", "--quiet", "--site", fresh], { stdio: "ignore" });
  const own = await serve(path.join(dist, "site.bundle"));
  const made = await serve(path.join(fresh, "dist/site.bundle"));
  servers.push(own, made);
  console.log("page                     form      perf a11y best seo   HTML and CSS on the wire");
  const pages = [
    ["home", `${own.origin}/`], ["post", `${own.origin}/blog/one-file`], ["reference", `${own.origin}/docs/diagnostics`],
    ["404", `${own.origin}/not-there`], ["kiln new: home", `${made.origin}/`], ["kiln new: 404", `${made.origin}/not-there`],
  ];
  const post = /href="?(\/blog\/[^"\s>]+|\/hello[^"\s>]*)/.exec(await (await fetch(`${made.origin}/`)).text())?.[1];
  if (post) pages.push(["kiln new: post", made.origin + post]);
  for (const [name, url] of pages) {
    for (const form of ["mobile", "desktop"]) isGood = (await judge(name, url, form, folder)) && isGood;
  }
} finally {
  for (const server of servers) server.stop();
  await rm(folder, { recursive: true, force: true });
}
process.exitCode = isGood ? 0 : 1;

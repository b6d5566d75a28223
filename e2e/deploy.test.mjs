// A deploy as it is done on a server, without containers: `kilnd install` puts one bundle after another into the folder
// that a running `kilnd` serves from, under load, and puts the old one back. No request may fail, every answer is one of
// the two versions whole, and a page that was loaded before a change finds its assets after it.
// Wants the two programs: dist/kilnd, and kiln by the name in KILN.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { startServer } from "./server.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const kilnd = path.resolve(here, process.env.DIST ?? "../dist", "kilnd");
const kiln = path.resolve(here, process.env.KILN ?? "../target/release/kiln");
const CLIENTS = 32;
const SWAPS = 6;

let folder;
let live;
let server;
let origin;
const agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS });

function get(url) {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent }, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => resolve({ status: answer.statusCode, body: Buffer.concat(parts).toString() }));
      answer.on("error", reject);
    });
    request.on("error", reject);
  });
}

/** Builds a site of one page and one style sheet, both of which say which version they are. */
async function build(version, previous) {
  const site = path.join(folder, version);
  await mkdir(path.join(site, "content"), { recursive: true });
  await mkdir(path.join(site, "static"), { recursive: true });
  await writeFile(path.join(site, "static/site.css"), `body { --version: ${version}; }\n`);
  const page = `<!doctype html><html lang="en"><head><title>${version}</title>`
    + `<link rel="stylesheet" href="{{+ /static/site.css}}"></head><body><p>${version} ${"word ".repeat(2000)}${version}</p></body></html>\n`;
  await writeFile(path.join(site, "content/index.html"), page);
  execFileSync(kiln, ["build", "--quiet", "--site", site, ...(previous ? ["--previous", previous] : [])], { stdio: "pipe" });
  return path.join(site, "dist/site.bundle");
}

const install = (bundle) => execFileSync(kilnd, ["install", bundle, live], { stdio: "pipe" });

async function until(what, isSo) {
  const deadline = Date.now() + 20_000;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`${what}: not within 20 s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const version = async () => /<title>(\w+)</.exec((await get(origin)).body)?.[1];
const styleSheet = (page) => new URL(/href="?([^" >]+\.css)/.exec(page)[1], origin).href;

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "kiln-deploy-"));
  live = path.join(folder, "srv/site.bundle");
  await mkdir(path.dirname(live));
});

after(async () => {
  agent.destroy();
  if (server && server.exitCode === null) {
    server.kill("SIGTERM");
    await once(server, "exit");
  }
  await rm(folder, { recursive: true, force: true });
});

describe("a deploy under load", () => {
  test("drops no request, mixes no versions, loses no asset, and goes back", async () => {
    // Without it a visitor would meet a page without its style sheet at each deploy.
    const one = await build("one");
    const two = await build("two", one);
    install(one);
    ({ server, origin } = await startServer(kilnd, [live]));
    await until("the first version", async () => (await version().catch(() => "")) === "one");

    let isOver = false;
    let requestCount = 0;
    const failures = [];
    const client = async () => {
      while (!isOver) {
        const answer = await get(origin).catch((error) => ({ status: String(error), body: "" }));
        requestCount += 1;
        const versions = new Set(answer.body.match(/\b(one|two)\b/g));
        if (answer.status !== 200 || versions.size !== 1) failures.push(`${answer.status}: ${[...versions]}`);
      }
    };
    const clients = Array.from({ length: CLIENTS }, client);
    const changeBackAndForth = async () => {
      for (let swap = 0; swap < SWAPS; swap += 1) {
        const [bundle, name] = swap % 2 === 0 ? [two, "two"] : [one, "one"];
        const before = (await get(origin)).body;
        install(bundle);
        await until(`version ${name}`, async () => (await version()) === name);
        const asset = await get(styleSheet(before));
        assert.equal(asset.status, 200, "the style sheet of a page that was loaded before");
        assert.match(asset.body, new RegExp(`--version: ?${/<title>(\w+)</.exec(before)[1]}`));
      }
    };
    await changeBackAndForth().finally(() => (isOver = true));
    await Promise.all(clients);
    assert.deepEqual(failures, []);
    assert.ok(requestCount > SWAPS * CLIENTS, `only ${requestCount} requests`);
  });

  test("a bundle that is broken is not installed, and the site stays", async () => {
    const broken = path.join(folder, "broken.bundle");
    await cp(live, broken);
    await writeFile(broken, "no bundle", { flag: "r+" });
    const before = await version();
    assert.throws(() => install(broken), /status|Command failed/);
    assert.equal(await version(), before);
  });
});

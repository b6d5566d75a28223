// The project's own site in a real browser: dist/site.bundle, served by dist/kilnd. Build both first (`make build`).
// Screenshots are left in e2e/screenshots/ to be looked at; nothing is compared with them.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { HtmlValidate } from "html-validate";
import { chromium } from "playwright-core";

const here = path.dirname(fileURLToPath(import.meta.url));
const dist = path.resolve(here, process.env.DIST ?? "../dist");
const screenshots = path.join(here, "screenshots");

const WIDTHS = [360, 768, 1280];
// Pages of each kind, for the eye.
const LOOKED_AT = new Set(["home", "docs", "docs-diagnostics", "docs-benchmarks", "docs-content", "blog", "blog-one-file", "search", "404"]);
// The browser must not talk to anyone but the server, not even of its own accord.
const BROWSER_FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

let server;
let origin;
let browser;

/** A port that was free a moment ago. */
async function freePort() {
  const probe = createServer();
  probe.listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}

/** Waits until the server is well, and says what it printed if it never is. */
async function untilHealthy(url, printed) {
  const deadline = Date.now() + 10_000;
  while (Date.now() < deadline) {
    if (server.exitCode !== null) throw new Error(`kilnd ended with status ${server.exitCode}: ${printed.join("")}`);
    const answer = await fetch(`${url}/health`).catch(() => null);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`kilnd was not healthy within 10 s: ${printed.join("")}`);
}

/** Opens a page and gathers everything that went wrong on the way. */
async function open(pathname, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 }, ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) wrong.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => wrong.push(`script: ${error.message}`));
  page.on("requestfailed", (request) => wrong.push(`failed: ${request.url()}`));
  page.on("response", (response) => {
    if (response.status() >= 400) wrong.push(`${response.status()}: ${response.url()}`);
  });
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== origin) wrong.push(`off the host: ${request.url()}`);
  });
  const response = await page.goto(origin + pathname, { waitUntil: "load" });
  return { page, response, wrong, close: () => context.close() };
}

before(async () => {
  await mkdir(screenshots, { recursive: true });
  const port = await freePort();
  origin = `http://127.0.0.1:${port}`;
  const printed = [];
  server = spawn(path.join(dist, "kilnd"), [path.join(dist, "site.bundle"), "--listen", `127.0.0.1:${port}`], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  server.on("error", (error) => printed.push(String(error)));
  for (const stream of [server.stdout, server.stderr]) stream.on("data", (bytes) => printed.push(String(bytes)));
  await untilHealthy(origin, printed);
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: BROWSER_FLAGS });
});

after(async () => {
  await browser?.close();
  if (server && server.exitCode === null) {
    const ended = once(server, "exit");
    server.kill("SIGTERM");
    const [status] = await ended;
    assert.equal(status, 0, "kilnd ends well when it is told to");
  }
});

/** What a visitor can reach from the home page, followed to the end: each page's bytes, by its path. */
async function crawl() {
  const pages = new Map();
  const answers = new Map();
  const waiting = ["/", "/404-page-that-is-not-there"];
  while (waiting.length > 0) {
    const pathname = waiting.shift();
    if (answers.has(pathname)) continue;
    const answer = await fetch(origin + pathname, { redirect: "manual" });
    answers.set(pathname, answer.status);
    const body = await answer.text();
    if (!answer.headers.get("content-type")?.startsWith("text/html") || ![200, 404].includes(answer.status)) continue;
    pages.set(pathname, { body, policy: answer.headers.get("content-security-policy"), status: answer.status });
    for (const [, link] of body.matchAll(/<[^<>]* href="?([^"\s>]+)/g)) {
      const url = new URL(link, origin + pathname);
      if (url.origin === origin) waiting.push(url.pathname);
    }
  }
  return { pages, answers };
}

test("every page, in one pass: bytes, links, policy, accessibility, widths", async (context) => {
  const { pages, answers } = await crawl();
  const index = await (await fetch(`${origin}/search.json`)).json();
  for (const { url } of index) assert.ok(pages.has(url), `${url} can't be reached by links`);
  assert.ok(pages.size > 20, [...pages.keys()].join(" "));
  const validator = new HtmlValidate(JSON.parse(await readFile(path.join(here, ".htmlvalidate.json"), "utf8")));
  const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  await context.test("no link leads to nowhere", () => {
    const dead = [...answers].filter(([pathname, status]) => status !== 200 && !pathname.startsWith("/404-"));
    assert.deepEqual(dead, []);
  });
  for (const [pathname, { body, policy, status }] of pages) {
    await context.test(pathname, async () => {
      const report = await validator.validateString(body, pathname);
      assert.deepEqual(report.results.flatMap(({ messages }) => messages.map((one) => `${one.line}:${one.column} ${one.ruleId} ${one.message}`)), []);
      assert.match(policy ?? "", /default-src 'self'/);
      assert.doesNotMatch(policy, /unsafe-(inline|eval)/);
      const ids = new Set([...body.matchAll(/<[^<>]* id="?([^"\s>]+)/g)].map(([, id]) => id));
      for (const [, fragment] of body.matchAll(/<[^<>]* href="?#([^"\s>]+)/g)) assert.ok(ids.has(decodeURIComponent(fragment)), `#${fragment}`);
      const { page, wrong, close } = await open(pathname);
      await inspectPage(page, pathname, axe);
      // Chromium tells on the console what a policy blocks, and that a document's status is 404.
      assert.deepEqual(wrong.filter((line) => !(status === 404 && line.includes("404"))), []);
      await assert.rejects(page.addScriptTag({ content: "0" }), "a stranger's inline script ran");
      await close();
    });
  }
});

/** The page in front of a reader: one heading, pictures that load, nothing too wide, nothing that axe finds, light and dark. */
async function inspectPage(page, pathname, axe) {
  assert.equal(await page.locator("h1").count(), 1);
  assert.notEqual(await page.locator('meta[name="description"]').getAttribute("content"), "");
  for (const image of await page.locator("img").all()) {
    await image.scrollIntoViewIfNeeded();
    await image.evaluate((node) => node.decode());
    const seen = await image.evaluate((node) => ({
      src: node.currentSrc, width: node.naturalWidth, height: node.naturalHeight,
      kept: node.hasAttribute("width") && node.hasAttribute("height"), alt: node.hasAttribute("alt"),
    }));
    assert.ok(seen.width > 0 && seen.height > 0 && seen.kept && seen.alt, JSON.stringify(seen));
  }
  await page.evaluate(() => document.querySelectorAll("details").forEach((one) => (one.open = true)));
  // Run beside the page's own scripts, where its policy doesn't reach.
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send("Page.getFrameTree");
  const { executionContextId } = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id });
  const evaluate = async (expression) => {
    const { result, exceptionDetails } = await session.send("Runtime.evaluate", {
      expression, contextId: executionContextId, awaitPromise: true, returnByValue: true,
    });
    assert.equal(exceptionDetails, undefined, JSON.stringify(exceptionDetails));
    return result.value;
  };
  await evaluate(`${axe}; 0`);
  const name = pathname.startsWith("/404-") ? "404" : pathname.slice(1).replaceAll("/", "-") || "home";
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 900 });
      await page.evaluate(() => scrollTo(0, 0));
      const excess = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (LOOKED_AT.has(name)) await page.screenshot({ path: path.join(screenshots, `${name}-${width}-${colorScheme}.png`), fullPage: true });
      assert.equal(excess, 0, `${pathname} is ${excess} px too wide at ${width} px`);
      // Everything once on the narrow page; on the dark one only what colours decide.
      const rules = { "360-light": "{}", "1280-dark": "{ runOnly: ['color-contrast'] }" }[`${width}-${colorScheme}`];
      if (!rules) continue;
      const found = await evaluate(`axe.run(${rules}).then(({ violations }) => violations.map(({ id, nodes }) => id + ": " + nodes.map((node) => node.html).join(" ")))`);
      assert.deepEqual(found, [], `${pathname}, ${colorScheme}, ${width} px`);
    }
  }
}

test("the search finds pages by what is in them, and its address can be passed on", async () => {
  const { page, wrong, close } = await open("/search");
  await page.fill("#query", "landlock seccomp");
  await page.locator("#found a").first().waitFor();
  assert.equal(await page.locator("#found a").first().getAttribute("href"), "/docs/runtime");
  await page.goto(`${origin}/search?q=diagnostic`);
  await page.locator("#found a", { hasText: "Every diagnostic" }).waitFor();
  await page.fill("#query", "no-such-word-anywhere");
  await page.locator("#count", { hasText: "No pages" }).waitFor();
  assert.deepEqual(wrong, []);
  await close();
});

test("without scripts every page can be read, and the search says so", async () => {
  const { page, close } = await open("/search", { javaScriptEnabled: false });
  assert.match(await page.locator("main").innerText(), /scripts are switched off/);
  await close();
});

test("on paper there is the text, and no navigation", async () => {
  const { page, close } = await open("/docs/images");
  await page.emulateMedia({ media: "print" });
  for (const hidden of [".bar nav", ".side", ".foot"]) assert.equal(await page.locator(hidden).isVisible(), false, hidden);
  assert.equal(await page.locator("h1").isVisible(), true);
  await page.pdf({ path: path.join(screenshots, "images-print.pdf") });
  await close();
});

// How wide the first picture is shown, in CSS pixels, and the width of the variant that suits it: the next one up.
const CHOICES = [
  { width: 400, scale: 1, chosen: 480 }, { width: 400, scale: 2, chosen: 876 },
  { width: 1600, scale: 1, chosen: 640 }, { width: 1600, scale: 2, chosen: 1200 },
];

for (const { width, scale, chosen } of CHOICES) {
  test(`a window of ${width} px at ${scale}x loads the picture that suits it, and nothing moves`, async () => {
    const { page, wrong, close } = await open("/", { viewport: { width, height: 900 }, deviceScaleFactor: scale });
    const image = page.locator(".hero img");
    await image.evaluate((node) => node.decode());
    const seen = await image.evaluate((node) => ({
      src: node.currentSrc, shown: node.getBoundingClientRect().width, ratio: node.clientWidth / node.clientHeight,
      srcset: [...node.parentElement.querySelectorAll("source"), node].map((one) => one.srcset).join(", "),
    }));
    // A browser gives a picture the size that `sizes` says, so the width is read from the list and not from the pixels.
    const candidate = seen.srcset.split(", ").find((one) => origin + one.split(" ")[0] === seen.src);
    assert.equal(candidate?.split(" ")[1], `${chosen}w`, JSON.stringify(seen));
    assert.ok(chosen >= seen.shown * scale * 0.95, `${chosen} px for ${seen.shown} px at ${scale}x`);
    assert.ok(Math.abs(seen.ratio - 1200 / 750) < 0.02, `${seen.ratio}`);
    const shift = await page.evaluate(() => new Promise((resolve) => {
      new PerformanceObserver((list) => resolve(list.getEntries().reduce((sum, entry) => sum + entry.value, 0)))
        .observe({ type: "layout-shift", buffered: true });
      setTimeout(() => resolve(0), 300);
    }));
    assert.equal(shift, 0);
    const first = await page.locator('link[rel="preload"][as="image"]').getAttribute("imagesrcset");
    assert.ok(first.split(", ").some((one) => origin + one.split(" ")[0] === seen.src), "the hint names what is shown");
    // Loaded twice would be worse than no hint, and Chromium warns of it.
    assert.deepEqual(wrong, []);
    await close();
  });
}

test("an address that isn't there gets the site's own page, with status 404", async () => {
  const { page, response, wrong, close } = await open("/no/such/page");
  assert.equal(response.status(), 404);
  assert.equal((await page.locator("h1").innerText()).trim(), "This shelf is empty.");
  // The browser itself complains about the document's status, and about nothing else.
  assert.deepEqual(wrong.filter((line) => !line.includes("404")), []);
  await close();
});

test("the first view fits into the first round trips", async () => {
  // 14 KB is what a server may send before it has heard back from a new client (ten segments).
  for (const pathname of ["/", "/blog/one-file", "/docs/diagnostics", "/docs/content"]) {
    const { page, close } = await open(pathname);
    const bytes = await page.evaluate(() => {
      const sheets = performance.getEntriesByType("resource").filter((entry) => entry.name.endsWith(".css"));
      const parts = [...performance.getEntriesByType("navigation"), ...sheets];
      return parts.reduce((sum, entry) => sum + entry.encodedBodySize, 0);
    });
    assert.ok(bytes > 0 && bytes <= 14 * 1024, `${pathname}: ${bytes} bytes of HTML and CSS`);
    await close();
  }
});

test("the keyboard reaches the content first", async () => {
  const { page, close } = await open("/");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("href")), "#main");
  await close();
});

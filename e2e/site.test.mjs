// The project's own site in a real browser: dist/site.bundle, served by dist/kilnd. Build both first (`make build`).
// Screenshots are left in e2e/screenshots/ to be looked at; nothing is compared with them.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = path.dirname(fileURLToPath(import.meta.url));
const dist = path.resolve(here, process.env.DIST ?? "../dist");
const screenshots = path.join(here, "screenshots");

const PAGES = [
  { name: "home", path: "/", heading: "Your whole website, fired into one file." },
  { name: "docs", path: "/docs", heading: "Documentation" },
  { name: "getting-started", path: "/docs/getting-started", heading: "Getting started" },
  { name: "template-language", path: "/docs/template-language", heading: "The template language" },
  { name: "bundle-format", path: "/docs/bundle-format", heading: "The bundle format" },
  { name: "images", path: "/docs/images", heading: "Images" },
  { name: "runtime", path: "/docs/runtime", heading: "The server" },
  { name: "content", path: "/docs/content", heading: "Content, lists and data" },
  { name: "assets", path: "/docs/assets", heading: "Style sheets, scripts and tools" },
  { name: "development", path: "/docs/development", heading: "Writing with kiln dev" },
  { name: "commands", path: "/docs/commands", heading: "The commands" },
  { name: "security", path: "/docs/security", heading: "Headers and checks" },
  { name: "deploy", path: "/docs/deploy", heading: "Deploy" },
  { name: "migrate", path: "/docs/migrate", heading: "Moving from another generator" },
  { name: "blog", path: "/blog", heading: "Blog" },
  { name: "post", path: "/blog/one-file", heading: "A website is one file" },
];
const WIDTHS = [360, 820, 1400];
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

for (const { name, path: pathname, heading } of PAGES) {
  describe(pathname, () => {
    test("loads without a complaint, and asks no other host", async () => {
      const { page, response, wrong, close } = await open(pathname);
      assert.equal(response.status(), 200);
      assert.equal(await page.locator("h1").count(), 1);
      assert.equal((await page.locator("h1").innerText()).trim(), heading);
      assert.notEqual(await page.locator("html").getAttribute("lang"), null);
      assert.notEqual(await page.locator('meta[name="description"]').getAttribute("content"), "");
      assert.deepEqual(wrong, []);
      await close();
    });

    test("shows its pictures, with room kept for them", async () => {
      const { page, close } = await open(pathname);
      for (const image of await page.locator("img").all()) {
        await image.scrollIntoViewIfNeeded();
        await image.evaluate((node) => node.decode());
        const seen = await image.evaluate((node) => ({
          src: node.currentSrc, width: node.naturalWidth, height: node.naturalHeight,
          kept: node.hasAttribute("width") && node.hasAttribute("height"), alt: node.hasAttribute("alt"),
        }));
        assert.ok(seen.width > 0 && seen.height > 0 && seen.kept && seen.alt, JSON.stringify(seen));
      }
      await close();
    });

    test("has links that lead somewhere", async () => {
      const { page, close } = await open(pathname);
      const links = await page.locator("a[href]").evaluateAll((nodes) => nodes.map((node) => node.href));
      const inside = [...new Set(links.filter((link) => new URL(link).origin === origin).map((link) => link.split("#")[0]))];
      assert.ok(inside.length > 3);
      for (const link of inside) {
        const answer = await fetch(link, { redirect: "manual" });
        assert.equal(answer.status, 200, link);
      }
      for (const link of links.filter((link) => link.startsWith(`${origin}${pathname}#`))) {
        const id = decodeURIComponent(new URL(link).hash.slice(1));
        assert.equal(await page.evaluate((id) => document.getElementById(id) !== null, id), true, link);
      }
      await close();
    });

    for (const colorScheme of ["light", "dark"]) {
      test(`fits its window, ${colorScheme}`, async () => {
        for (const width of WIDTHS) {
          const { page, close } = await open(pathname, { viewport: { width, height: 900 }, colorScheme });
          const excess = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
          await page.screenshot({ path: path.join(screenshots, `${name}-${width}-${colorScheme}.png`), fullPage: true });
          assert.equal(excess, 0, `${pathname} is ${excess} px too wide at ${width} px`);
          await close();
        }
      });
    }
  });
}

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
  await page.screenshot({ path: path.join(screenshots, "404-1400-light.png"), fullPage: true });
  await close();
});

test("the first view fits into the first round trips", async () => {
  // 14 KB is what a server may send before it has heard back from a new client (ten segments).
  for (const { path: pathname } of [PAGES[0], PAGES.at(-1)]) {
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

// The development server in a real browser: what somebody sees who writes a site, without ever reloading by hand.
// Screenshots of the notice about mistakes are left in e2e/screenshots/.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = path.dirname(fileURLToPath(import.meta.url));
const kiln = process.env.KILN ? path.resolve(process.env.KILN) : path.resolve(here, "../target/release/kiln");
const screenshots = path.join(here, "screenshots");

const LINES = Array.from({ length: 120 }, (_, number) => `Paragraph ${number}.\n`).join("\n");
const LAYOUT = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{title}}</title>
<link rel="stylesheet" href="{{+ /static/site.css}}"></head>
<body><header id="header"><% header.html %/></header><main>{{body}}</main></body></html>
`;
const SVG = (size) => `<svg xmlns="http://www.w3.org/2000/svg" width="${size}" height="${size}"><rect width="${size}" height="${size}"/></svg>`;
const FILES = {
  "site.toml": 'title = "Dev"\n[images]\nwidths = [100]\n',
  "content/index.md": `---\ntitle: Home\n---\n# Home\n\nfirst\n\n![square](square.svg)\n\n${LINES}`,
  "content/other.md": "---\ntitle: Other\n---\n# Other\n",
  "content/square.svg": SVG(10),
  "templates/base.html": LAYOUT,
  "templates/header.html": "one header",
  "static/site.css": "h1 { color: rgb(1, 2, 3) }",
};

let site, server, port, browser, page;

async function write(name, text) {
  const file = path.join(site, name);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, text);
}

async function start(listen) {
  server = spawn(kiln, ["dev", "--watch", "--site", site, "--listen", listen], { stdio: ["ignore", "ignore", "pipe"] });
  const printed = [];
  for await (const chunk of server.stderr) {
    printed.push(chunk);
    const found = Buffer.concat(printed).toString().match(/http:\/\/127\.0\.0\.1:(\d+)\//);
    if (found) {
      port = found[1];
      break;
    }
  }
  assert.ok(port, Buffer.concat(printed).toString());
}

async function stop() {
  const ended = once(server, "exit");
  server.kill("SIGKILL");
  await ended;
}

/** Waits until a function in the page returns something true. */
const until = (check, argument) => page.waitForFunction(check, argument, { timeout: 20_000, polling: 20 });
/** Something that a reload wipes out. */
const markLife = () => page.evaluate(() => { window.sameLife = true; });
const isSameLife = () => page.evaluate(() => window.sameLife === true);

before(async () => {
  site = await mkdtemp(path.join(os.tmpdir(), "kiln-dev-"));
  for (const [name, text] of Object.entries(FILES)) await write(name, text);
  await mkdir(screenshots, { recursive: true });
  await start("127.0.0.1:0");
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  });
  page = await browser.newPage({ viewport: { width: 1000, height: 700 } });
  const streaming = page.waitForResponse((response) => response.url().includes("/live-reload"));
  await page.goto(`http://127.0.0.1:${port}/`);
  await streaming;
});

after(async () => {
  await browser?.close();
  await stop();
  await rm(site, { recursive: true, force: true });
});

test("a page that is edited shows it, and stays where it was scrolled to", async () => {
  await page.evaluate(() => scrollTo(0, 900));
  await write("content/index.md", FILES["content/index.md"].replace("first", "second"));
  await until(() => document.body.textContent.includes("second"));
  await until(() => Math.abs(scrollY - 900) < 2);
});

test("an edited partial shows in the page that uses it", async () => {
  await write("templates/header.html", "another header");
  await until(() => document.querySelector("#header").textContent === "another header");
});

test("a style sheet is swapped without a reload", async () => {
  await markLife();
  await write("static/site.css", "h1 { color: rgb(7, 8, 9) }");
  await until(() => getComputedStyle(document.querySelector("h1")).color === "rgb(7, 8, 9)");
  await until(() => document.querySelectorAll("link[rel=stylesheet]").length === 1);
  assert.equal(await isSameLife(), true);
});

test("an image that changes is shown anew", async () => {
  await write("content/square.svg", SVG(33));
  await until(() => document.querySelector("img")?.naturalWidth === 33);
});

test("a page that a change doesn't concern is left alone", async () => {
  await markLife();
  await write("content/other.md", "---\ntitle: Other\n---\n# Changed\n");
  // What follows comes after it on the same stream.
  await write("static/site.css", "h1 { color: rgb(4, 5, 6) }");
  await until(() => getComputedStyle(document.querySelector("h1")).color === "rgb(4, 5, 6)");
  assert.equal(await isSameLife(), true);
});

test("a broken template is explained over the page, and the notice goes when it is mended", async () => {
  await markLife();
  await write("templates/header.html", "<p>fine</p>\n<% no_such.html title=\"<script>x</script>\" %/>\n<p>fine</p>\n");
  const overlay = page.locator("kiln-overlay [role=alertdialog]");
  await overlay.waitFor({ timeout: 20_000 });
  const text = await overlay.textContent();
  assert.match(text, /there is no partial `no_such\.html`/);
  assert.match(text, /templates\/header\.html:2:4/);
  assert.match(text, /<script>x<\/script>/);
  assert.equal(await isSameLife(), true, "the last good page stays");
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: path.join(screenshots, `dev-overlay-${colorScheme}.png`) });
  }
  await page.keyboard.press("Escape");
  await overlay.waitFor({ state: "detached" });
  // Whoever loads the page now sees the last good one, and why it is old.
  await page.reload();
  await overlay.waitFor({ timeout: 20_000 });
  await write("templates/header.html", "mended");
  await until(() => document.querySelector("#header").textContent === "mended");
  await overlay.waitFor({ state: "detached" });
});

test("a page that appears takes the place of the notice that it is missing", async () => {
  await page.goto(`http://127.0.0.1:${port}/late`);
  await write("content/late.md", "---\ntitle: Late\n---\n# Better late\n");
  await until(() => document.querySelector("h1")?.textContent === "Better late");
  await page.goto(`http://127.0.0.1:${port}/`);
});

test("a link that leads nowhere is told over the page that has it, and stays closed once it was closed", async () => {
  const dialog = page.locator("kiln-overlay [role=alertdialog]");
  const mark = page.locator("kiln-overlay .note");
  await write("content/links.md", "---\ntitle: Links\n---\n# Links\n\n[gone](nowhere.md)\n");
  await page.goto(`http://127.0.0.1:${port}/links`);
  await dialog.waitFor({ timeout: 20_000 });
  assert.match(await dialog.textContent(), /1 mistake.*content\/links\.md:6:/);
  await page.screenshot({ path: path.join(screenshots, "dev-notes.png") });
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await page.screenshot({ path: path.join(screenshots, "dev-mark.png") });
  await page.reload();
  await mark.waitFor({ timeout: 20_000 });
  assert.equal(await dialog.count(), 0);
  await mark.click();
  await dialog.waitFor();
  await write("content/links.md", "---\ntitle: Links\n---\n# No links\n");
  await until(() => document.querySelector("h1")?.textContent === "No links");
  await dialog.waitFor({ state: "detached" });
  await mark.waitFor({ state: "detached" });
  await page.goto(`http://127.0.0.1:${port}/`);
});

test("an image is shown at once, and its variants once they are made", async () => {
  await write("content/photo.png", await page.screenshot({ clip: { x: 0, y: 0, width: 400, height: 300 } }));
  await write("content/photo.md", '---\ntitle: Photo\n---\n# Photo\n\n![a photo](photo.png)\n');
  const text = await (await fetch(`http://127.0.0.1:${port}/photo`)).text();
  assert.match(text, /src="\/photo\.png"/);
  assert.doesNotMatch(text, /\.webp/);
  await page.goto(`http://127.0.0.1:${port}/photo`);
  await until(() => document.querySelector("picture source[type='image/webp']") && document.querySelector("img").naturalWidth > 0);
  assert.match(await page.evaluate(() => document.querySelector("img").currentSrc), /\.webp/);
  await page.goto(`http://127.0.0.1:${port}/`);
});

test("a recording is played from any place in it", async () => {
  const samples = Buffer.alloc(8_000_000, 128);
  const head = Buffer.alloc(44);
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + samples.length, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(8000, 24);
  head.writeUInt32LE(8000, 28);
  head.writeUInt16LE(1, 32);
  head.writeUInt16LE(8, 34);
  head.write("data", 36);
  head.writeUInt32LE(samples.length, 40);
  await write("static/sound.wav", Buffer.concat([head, samples]));
  await write("content/sound.html", '<!doctype html><title>Sound</title><audio src="{{+ /static/sound.wav}}" preload="metadata"></audio>\n');
  await page.goto(`http://127.0.0.1:${port}/sound`);
  await until(() => document.querySelector("audio").readyState > 0);
  const place = await page.evaluate(async () => {
    const audio = document.querySelector("audio");
    const moved = new Promise((done) => { audio.onseeked = done; });
    audio.currentTime = 900;
    await moved;
    return audio.currentTime;
  });
  assert.equal(place, 900);
  await page.goto(`http://127.0.0.1:${port}/`);
});

test("a draft bears a mark", async () => {
  await write("content/draft.md", "---\ntitle: Draft\ndraft: true\n---\n# Draft\n");
  await page.goto(`http://127.0.0.1:${port}/draft`);
  await page.locator("kiln-overlay .mark").waitFor({ timeout: 20_000 });
  await page.screenshot({ path: path.join(screenshots, "dev-draft.png") });
  await page.goto(`http://127.0.0.1:${port}/`);
});

test("a server that was restarted is found again, and what changed meanwhile is shown", async () => {
  await stop();
  const text = await readFile(path.join(site, "content/index.md"), "utf8");
  await write("content/index.md", text.replace("second", "third"));
  await start(`127.0.0.1:${port}`);
  await until(() => document.body.textContent.includes("third"));
});

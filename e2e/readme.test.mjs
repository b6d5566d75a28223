// The README's commands, run as they stand there: whoever copies them must not be the first to try.
// Wants the two programs: dist/kilnd, and kiln by the name in KILN.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { startServer } from "./server.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const programs = {
  kiln: path.resolve(here, process.env.KILN ?? "../target/release/kiln"),
  kilnd: path.resolve(here, process.env.DIST ?? "../dist", "kilnd"),
};

/** The lines of a text's blocks of shell commands, without comments. */
function commands(text) {
  const blocks = [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, block]) => block);
  return blocks.map((block) => block.split("\n").map((line) => line.replace(/(^|\s)#.*$/, "").trim()).filter(Boolean));
}

/** The words of a line; a text in quotes is one. */
const words = (line) => [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain);

/** Starts a server at any port, waits until it says where, and asks it for its home page. */
async function tryServer(program, values, cwd) {
  const port = values.indexOf("--listen");
  const plain = port < 0 ? values : values.toSpliced(port, 2);
  const { server, origin } = await startServer(program, plain, cwd);
  try {
    assert.equal((await fetch(origin)).status, 200);
  } finally {
    if (server.exitCode === null) {
      server.kill("SIGTERM");
      await once(server, "exit");
    }
  }
}

test("every command of the README works as it stands", async () => {
  const readme = await readFile(path.join(here, "../README.md"), "utf8");
  const makefile = await readFile(path.join(here, "../Makefile"), "utf8");
  const folder = await mkdtemp(path.join(tmpdir(), "kiln-readme-"));
  let count = 0;
  try {
    for (const block of commands(readme)) {
      let cwd = folder;
      for (const line of block) {
        const [program, ...values] = words(line);
        count += 1;
        if (program === "cd") cwd = path.join(cwd, values[0]);
        // `make` runs this test, so its tasks are only looked up.
        else if (program === "make") assert.match(makefile, new RegExp(`^${values[0]}:`, "m"), line);
        else if (program === "git" || program === "rsync" || program === "ssh") assert.fail(`${line}: needs another machine`);
        else if (program === "kilnd" || values[0] === "dev") await tryServer(programs[program], values, cwd);
        else execFileSync(programs[program] ?? assert.fail(`${line}: which program?`), values, { cwd, stdio: "pipe" });
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  assert.ok(count > 6, `only ${count} commands`);
});

test("the table of commands names none that isn't there", async () => {
  const readme = await readFile(path.join(here, "../README.md"), "utf8");
  const named = new Set([...readme.matchAll(/^\| `kiln ([a-z]+)/gm)].map(([, name]) => name));
  const help = execFileSync(programs.kiln, ["--help"]).toString();
  for (const [, name] of help.matchAll(/^ {2}([a-z]+) {2}/gm)) assert.ok(name === "help" || readme.includes(`kiln ${name}`), name);
  for (const name of named) assert.match(help, new RegExp(`^ {2}${name} `, "m"));
});

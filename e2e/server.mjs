// Starts a server at any port and waits until it says where it listens.

import { spawn } from "node:child_process";

const START_MS_MAX = 20_000;

/** The process and its origin. One that ends, or says nothing, is an error with what it printed. */
export async function startServer(program, values, cwd) {
  const server = spawn(program, [...values, "--listen", "127.0.0.1:0"], { cwd, stdio: ["ignore", "pipe", "pipe"] });
  const origin = new Promise((resolve, reject) => {
    let printed = "";
    const read = (text) => {
      printed += text;
      const found = /127\.0\.0\.1:(\d+)/.exec(printed);
      if (found) resolve(`http://127.0.0.1:${found[1]}/`);
    };
    server.stdout.on("data", read);
    server.stderr.on("data", read);
    server.on("error", reject);
    server.on("exit", () => reject(new Error(`${program} ended: ${printed}`)));
    setTimeout(() => reject(new Error(`${program} says nothing: ${printed}`)), START_MS_MAX).unref();
  });
  try {
    return { server, origin: await origin };
  } catch (error) {
    server.kill("SIGKILL");
    throw error;
  }
}

/**
 * Runs programs inside a host's namespaces and takes the time from spawn to end: a program of its
 * own there, so that no `nsenter` is in the figures. A job is a line of JSON in, a line out.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Namespace } from '../lab/namespace.ts';

export type Job = {
  readonly file: string;
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
};

export type Done = { readonly ms: number; readonly code: number | null; readonly stdout: string };

export type Driver = { readonly run: (job: Job) => Promise<Done>; readonly end: () => void };

function runJob({ file, env, stdin }: Job): Promise<Done> {
  const began = performance.now();
  const child = spawn(file, [], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let stdout = '';
  child.stdout.on('data', chunk => {
    stdout += chunk;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(stdin);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    // The end of the program is the answer to a runtime; a child of its may hold stdout longer.
    child.once('close', code => resolve({ ms: performance.now() - began, code, stdout }));
  });
}

function serve(): void {
  createInterface({ input: process.stdin }).on('line', line => {
    const { id, ...job } = JSON.parse(line) as Job & { readonly id: number };
    void runJob(job)
      .catch(error => ({ ms: 0, code: null, stdout: String(error) }))
      .then(done => process.stdout.write(`${JSON.stringify({ id, ...done })}\n`));
  });
}

/** Starts the driver on a host. */
export function startDriver(host: Namespace): Driver {
  const child: ChildProcess = host.start([process.execPath, import.meta.filename], { stdio: 'pipe' });
  const waiting = new Map<number, (done: Done) => void>();
  let serial = 0;
  if (child.stdout === null || child.stdin === null) throw new Error('the driver has no pipes');
  const { stdin } = child;
  child.stderr?.pipe(process.stderr);
  createInterface({ input: child.stdout }).on('line', line => {
    const { id, ...done } = JSON.parse(line) as Done & { readonly id: number };
    waiting.get(id)?.(done);
    waiting.delete(id);
  });
  const run = (job: Job): Promise<Done> =>
    new Promise(resolve => {
      serial += 1;
      waiting.set(serial, resolve);
      stdin.write(`${JSON.stringify({ id: serial, ...job })}\n`);
    });
  return { run, end: () => void stdin.end() };
}

if (import.meta.main) serve();

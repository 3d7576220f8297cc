/**
 * Runs programs inside a host's namespaces and takes the time from spawn to end: a small program
 * of its own there (driver.c), so that neither `nsenter` nor Node's own spawn is in the figures.
 */
import type { ChildProcess } from 'node:child_process';
import type { Namespace } from '../lab/namespace.ts';
import { compile } from './compile.ts';

export type Job = {
  readonly file: string;
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
};

export type Done = { readonly ms: number; readonly code: number; readonly stdout: string };

export type Driver = { readonly run: (job: Job) => Promise<Done>; readonly end: () => void };

const encode = (id: number, { file, env, stdin }: Job): string => {
  const lines = Object.entries({ PATH: process.env.PATH ?? '', ...env }).map(([k, v]) => `${k}=${v}\n`);
  return `${id} ${lines.length} ${Buffer.byteLength(stdin)}\n${file}\n${lines.join('')}${stdin}`;
};

type Split = { readonly done: readonly (Done & { readonly id: number })[]; readonly rest: Buffer };

/** Whole answers at the front of the driver's output, and what is left. */
function split(bytes: Buffer): Split {
  const done: (Done & { id: number })[] = [];
  let at = 0;
  for (;;) {
    const end = bytes.indexOf('\n', at);
    const [id = 0, ns = 0, code = 0, length = 0] = bytes.toString('latin1', at, end).split(' ').map(Number);
    if (end < 0 || bytes.length < end + 1 + length) return { done, rest: bytes.subarray(at) };
    done.push({ id, ms: ns / 1e6, code, stdout: bytes.toString('utf8', end + 1, end + 1 + length) });
    at = end + 1 + length;
  }
}

let program: string | undefined;

/** Starts the driver on a host. */
export function startDriver(host: Namespace): Driver {
  program ??= compile('driver.c', ['gcc', '-pthread']);
  const child: ChildProcess = host.start([program], { stdio: 'pipe' });
  const waiting = new Map<number, (done: Done) => void>();
  let serial = 0;
  let rest: Buffer = Buffer.alloc(0);
  if (child.stdout === null || child.stdin === null) throw new Error('the driver has no pipes');
  const { stdin } = child;
  child.stderr?.pipe(process.stderr);
  child.stdout.on('data', (chunk: Buffer) => {
    const got = split(Buffer.concat([rest, chunk]));
    rest = got.rest;
    for (const { id, ...done } of got.done) {
      waiting.get(id)?.(done);
      waiting.delete(id);
    }
  });
  const run = (job: Job): Promise<Done> =>
    new Promise(resolve => {
      serial += 1;
      waiting.set(serial, resolve);
      stdin.write(encode(serial, job));
    });
  return { run, end: () => void stdin.end() };
}

/** Programs of the tools that are spoken to as text: argv arrays, LC_ALL=C, an end in time, stderr in the error. */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { RUN_DIR } from '../../constants.ts';
import { LinuxError } from './errors.ts';

/** `secret`: for programs that open /dev/stdin anew; given as a file that has no name. */
export type Exec = (argv: readonly string[], stdin?: string, secret?: boolean) => Promise<string>;

const TIMEOUT_MS = 30_000;

/** What strerror says in the C locale, at the end of a tool's sentence. */
const ERRNO: readonly (readonly [RegExp, string])[] = [
  [/No such device(?: or address)?$/, 'ENODEV'],
  [/Operation not permitted$/, 'EPERM'],
  [/Operation not supported$/, 'EOPNOTSUPP'],
  [/Protocol not supported$/, 'EPROTONOSUPPORT'],
  [/Address already in use$/, 'EADDRINUSE'],
  [/Device or resource busy$/, 'EBUSY'],
];

const errnoOf = (words: string): string => ERRNO.find(([said]) => said.test(words))?.[1] ?? 'EFAILED';

/** What came of a program that could be started. */
export type Ended = { readonly status: string; readonly out: Buffer; readonly err: Buffer };

/** Rejects with an error that has an errno's name as `code` where the program could not be started. */
export type Run = (argv: readonly string[], stdin: string, secret: boolean) => Promise<Ended>;

/** In memory (tmpfs), readable by root only, and nameless before anything is in it. */
function nameless(content: string): number {
  mkdirSync(RUN_DIR, { recursive: true, mode: 0o700 });
  const path = `${RUN_DIR}/.secret.${process.pid}`;
  // Ours of an earlier life that ended between the next two lines; in a container pids come back.
  rmSync(path, { force: true });
  const fd = openSync(path, 'wx+', 0o600);
  rmSync(path);
  writeSync(fd, content);
  return fd;
}

const runHere: Run = ([file = '', ...args], stdin, secret) => {
  const input = secret ? nameless(stdin) : 'pipe';
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      env: { ...process.env, LC_ALL: 'C' },
      stdio: [input, 'pipe', 'pipe'],
    });
    // Not spawn's own: where there is no such program, Node forgets to clear it.
    const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS);
    if (typeof input === 'number') closeSync(input);
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout?.on('data', chunk => out.push(chunk));
    child.stderr?.on('data', chunk => err.push(chunk));
    child.on('error', error => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ status: String(code ?? signal), out: Buffer.concat(out), err: Buffer.concat(err) });
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(stdin);
  });
};

let run: Run = runHere;

/** From now on all programs of this process are run by `other`; returns the way back. */
export function runBy(other: Run): () => void {
  run = other;
  return () => {
    run = runHere;
  };
}

async function output(argv: readonly string[], stdin: string, secret: boolean): Promise<string> {
  const ended = await run(argv, stdin, secret).catch((error: NodeJS.ErrnoException) => {
    throw new LinuxError(error.code ?? 'EFAILED', `cannot run ${argv[0]}: ${error.message}`, error);
  });
  if (ended.status === '0') return ended.out.toString();
  const words = ended.err.toString().trim() || `exit ${ended.status}`;
  throw new LinuxError(errnoOf(words), `${argv.slice(0, 3).join(' ')}: ${words}`);
}

/** Resolves with stdout; rejects with LinuxError that carries what the program said. */
export function countingExec(spawned: () => void): Exec {
  return (argv, stdin = '', secret = false) => {
    spawned();
    return output(argv, stdin, secret);
  };
}

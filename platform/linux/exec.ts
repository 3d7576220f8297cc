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

function output(argv: readonly string[], stdin: string, secret: boolean): Promise<string> {
  const [file = '', ...args] = argv;
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
      reject(
        new LinuxError(
          (error as NodeJS.ErrnoException).code ?? 'EFAILED',
          `cannot run ${file}: ${error.message}`,
          error,
        ),
      );
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) return resolve(Buffer.concat(out).toString());
      const words = Buffer.concat(err).toString().trim() || `exit ${code ?? signal}`;
      reject(new LinuxError(errnoOf(words), `${argv.slice(0, 3).join(' ')}: ${words}`));
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(stdin);
  });
}

/** Resolves with stdout; rejects with LinuxError that carries what the program said. */
export function countingExec(spawned: () => void): Exec {
  return (argv, stdin = '', secret = false) => {
    spawned();
    return output(argv, stdin, secret);
  };
}

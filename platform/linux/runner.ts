/**
 * A small process that starts programs for this one (cni/shim/runner.c, which has the frames): a
 * spawn out of a large Node process holds its event loop up for 5 ms and more, and a pass has several.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { type Ended, type Run, runBy } from './exec.ts';

type Waiter = { readonly resolve: (ended: Ended) => void; readonly reject: (error: Error) => void };

type Answer = Ended & { readonly id: number; readonly errno: number };

export function encodeRun(id: number, argv: readonly string[], stdin: string): Buffer {
  const rest = Buffer.from(argv.map(word => `${word}\0`).join('') + stdin);
  const head = Buffer.alloc(12);
  head.writeUInt32BE(8 + rest.length, 0);
  head.writeUInt32BE(id, 4);
  head.writeUInt32BE(argv.length, 8);
  return Buffer.concat([head, rest]);
}

const signalName = (signal: number): string =>
  Object.entries(constants.signals).find(([, number]) => number === signal)?.[0] ?? `signal ${signal}`;

const statusText = (status: number): string =>
  status > 255 ? signalName(status - 256) : String(Math.max(status, 0));

/** Whole answers at the front of a stream, and what is left. */
export function splitAnswers(bytes: Buffer): { readonly answers: readonly Answer[]; readonly rest: Buffer } {
  const answers: Answer[] = [];
  let at = 0;
  while (bytes.length - at >= 16) {
    const end = at + 4 + bytes.readUInt32BE(at);
    if (end > bytes.length) break;
    const status = bytes.readInt32BE(at + 8);
    const middle = at + 16 + bytes.readUInt32BE(at + 12);
    answers.push({
      id: bytes.readUInt32BE(at + 4),
      errno: Math.min(status, 0),
      status: statusText(status),
      out: bytes.subarray(at + 16, middle),
      err: bytes.subarray(middle, end),
    });
    at = end;
  }
  return { answers, rest: bytes.subarray(at) };
}

const unable = (errno: number): Error =>
  Object.assign(new Error(getSystemErrorName(errno)), { code: getSystemErrorName(errno) });

type Runner = { readonly run: Run; readonly alive: () => boolean; readonly stop: () => void };

function start(program: string): Runner {
  const child: ChildProcess = spawn(program, ['runner'], {
    env: { ...process.env, LC_ALL: 'C' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const waiting = new Map<number, Waiter>();
  let alive = true;
  let serial = 0;
  let chunks: Buffer[] = [];
  const [input, output] = [child.stdin as unknown as Socket, child.stdout as unknown as Socket];
  // It alone keeps no process alive; a program that runs does.
  const hold = (held: boolean): void => void (held ? output.ref() : output.unref());
  child.unref();
  input.unref();
  hold(false);

  const end = (error: Error): void => {
    alive = false;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  child.on('error', end);
  child.on('exit', () => end(new Error(`${program} runner ended`)));
  input.on('error', end);
  output.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    const { answers, rest } = splitAnswers(chunks.length === 1 ? chunk : Buffer.concat(chunks));
    chunks = rest.length > 0 ? [rest] : [];
    for (const { id, errno, ...ended } of answers) {
      const waiter = waiting.get(id);
      waiting.delete(id);
      if (errno < 0) waiter?.reject(unable(errno));
      else waiter?.resolve(ended);
    }
    hold(waiting.size > 0);
  });
  return {
    alive: () => alive,
    stop: () => void input.end(),
    run: (argv, stdin) =>
      new Promise((resolve, reject) => {
        serial += 1;
        waiting.set(serial, { resolve, reject });
        hold(true);
        input.write(encodeRun(serial, argv, stdin));
      }),
  };
}

/**
 * All programs of this process go through `program` (the CNI binary) as `runner` from now on; one
 * that has ended is started again with the next. The result ends it.
 */
export function openRunner(program: string): () => void {
  let runner = start(program);
  const back = runBy((argv, stdin, secret) => {
    if (!runner.alive()) runner = start(program);
    return runner.run(argv, stdin, secret);
  });
  return () => {
    back();
    runner.stop();
  };
}

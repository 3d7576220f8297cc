/** The program that runs in each pod of the packet tests (prober/): echoes, and probes at our word. */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Namespace } from '../lab/namespace.ts';

export type Protocol = 'tcp' | 'udp' | 'sctp' | 'icmp';

/** Whether an answer came, and the address that the other end saw. */
export type Reply = { readonly ok: boolean; readonly source: string | undefined };

/** A connection that stays open. */
export type Kept = {
  readonly first: Reply;
  readonly again: (ms: number) => Promise<Reply>;
  readonly close: () => void;
};

export type Prober = {
  readonly try: (protocol: Protocol, ip: string, port: number, ms: number) => Promise<Reply>;
  readonly keep: (protocol: 'tcp' | 'udp', ip: string, port: number, ms: number) => Promise<Kept>;
  /** Words that its echoes have heard since the last call, and how often. */
  readonly heard: () => ReadonlyMap<string, number>;
  readonly end: () => void;
};

const SOURCES = join(import.meta.dirname, 'prober');

/** Compiled anew when a source is newer. Throws where there is no C compiler. */
export function buildProber(): string {
  const dir = join(tmpdir(), `weft-prober-${process.getuid?.() ?? 0}`);
  const program = join(dir, 'prober');
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const sources = readdirSync(SOURCES).map(file => join(SOURCES, file));
  const newest = Math.max(...sources.map(path => statSync(path).mtimeMs));
  const parts = sources.filter(path => path.endsWith('.c'));
  if (!existsSync(program) || statSync(program).mtimeMs < newest)
    execFileSync(process.env.CC ?? 'cc', ['-O2', '-Wall', '-o', program, ...parts]);
  return program;
}

const ready = (child: ChildProcess): Promise<void> =>
  new Promise((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('error', reject);
    child.once('exit', code => reject(new Error(`the prober ended with ${code} before it began`)));
  });

/** Starts it in a pod's namespace; resolves when it serves. */
export async function startProber(
  pod: Namespace,
  program: string,
  ports: readonly number[] = [80, 81],
): Promise<Prober> {
  const child = pod.start([program, ...ports.map(String)], { stdio: 'pipe' });
  child.stderr?.on('data', bytes => process.stderr.write(bytes));
  await ready(child);
  child.removeAllListeners('exit');
  const waiting = new Map<string, (reply: Reply) => void>();
  let heard = new Map<string, number>();
  let serial = 0;
  let rest = '';
  const onLine = (line: string): void => {
    const [word, id = '', source = ''] = line.split(' ');
    if (word === 'saw') heard.set(id, (heard.get(id) ?? 0) + 1);
    else {
      const done = waiting.get(id);
      waiting.delete(id);
      done?.({ ok: word === 'ok', source: word === 'ok' ? source : undefined });
    }
  };
  child.stdout?.on('data', (bytes: Buffer) => {
    const lines = (rest + bytes.toString()).split('\n');
    rest = lines.pop() ?? '';
    lines.forEach(onLine);
  });
  child.on('exit', () => {
    for (const done of waiting.values()) done({ ok: false, source: undefined });
  });
  child.stdin?.on('error', () => {});
  const ask = (id: string, line: string): Promise<Reply> =>
    new Promise(resolve => {
      waiting.set(id, resolve);
      child.stdin?.write(`${line}\n`);
    });
  const newId = (): string => `${child.pid}-${++serial}`;
  return {
    try: (protocol, ip, port, ms) => {
      const id = newId();
      return ask(id, `try ${id} ${protocol} ${ip} ${port} ${ms}`);
    },
    keep: async (protocol, ip, port, ms) => {
      const id = newId();
      const first = await ask(id, `keep ${id} ${protocol} ${ip} ${port} ${ms}`);
      return {
        first,
        again: within => ask(id, `again ${id} ${within}`),
        close: () => void child.stdin?.write(`close ${id}\n`),
      };
    },
    heard: () => {
      const words = heard;
      heard = new Map();
      return words;
    },
    end: () => void child.kill('SIGKILL'),
  };
}

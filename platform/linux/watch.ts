/**
 * The kernel's own news of links, addresses, routes, neighbours and nft rules in this namespace,
 * by way of a small program (cni/shim/monitor.c). Not by the netlink package: a storm of news
 * overflows its socket, and it answers the error that follows by ending the process (seen: SIGABRT).
 */
import { spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import type { KernelEvent } from './types.ts';

const LETTERS: Readonly<Record<KernelEvent, string>> = {
  link: 'l',
  address: 'a',
  route: 'r',
  wire: 'w',
  neighbour: 'n',
  nft: 'f',
  policy: 'p',
  fence: 't',
  filter: 'o',
};

export type Monitor = {
  /** Path of the CNI binary, which is the monitor too. */
  readonly program: string;
  /** Changes by sockets with such ports are no news. */
  readonly ownPorts: number;
  /** Once for each process started. */
  readonly spawned: () => void;
  /** It ended by itself, and why; it is started again after `RESTART_MS`. */
  readonly trouble: (message: string) => void;
};

const RESTART_MS = 1_000;

type Child = { readonly stop: () => void };

/** One process; `ended` is called once, unless it was stopped before. */
function start(
  { program, ownPorts }: Pick<Monitor, 'program' | 'ownPorts'>,
  letters: string,
  onLetters: (letters: string) => void,
  ended: (why: string) => void,
): Child {
  const child = spawn(program, ['monitor', letters, String(ownPorts)], { stdio: ['ignore', 'pipe', 'pipe'] });
  // Listening alone keeps no process alive.
  child.unref();
  for (const pipe of [child.stdout, child.stderr]) (pipe as unknown as Socket).unref();
  let stopped = false;
  let words = '';
  const end = (why: string): void => {
    if (stopped) return;
    stopped = true;
    ended(why);
  };
  child.stdout.on('data', (bytes: Buffer) => {
    if (!stopped) onLetters(bytes.toString());
  });
  child.stderr.on('data', (bytes: Buffer) => {
    words += bytes.toString();
  });
  child.on('error', error => end(`cannot run ${program}: ${error.message}`));
  child.on('close', (code, signal) =>
    end(`${program} monitor ended with ${code ?? signal}: ${words.trim()}`),
  );
  return {
    stop: () => {
      stopped = true;
      child.kill('SIGKILL');
    },
  };
}

/**
 * Calls back for each kind once when listening has begun, since what was before is not known, and
 * then at each change, at most every 20 ms. The result stops it, at once and for good.
 */
export function watchKernel(
  monitor: Monitor,
  kinds: readonly KernelEvent[],
  onEvent: (kind: KernelEvent) => void,
): () => void {
  const letters = kinds.map(kind => LETTERS[kind]).join('');
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let child: Child | undefined;

  const onLetters = (news: string): void => {
    for (const kind of kinds) if (news.includes(LETTERS[kind]) && !stopped) onEvent(kind);
  };
  const run = (): void => {
    monitor.spawned();
    child = start(monitor, letters, onLetters, why => {
      monitor.trouble(why);
      timer = setTimeout(run, RESTART_MS);
    });
  };
  run();
  return () => {
    stopped = true;
    clearTimeout(timer);
    child?.stop();
  };
}

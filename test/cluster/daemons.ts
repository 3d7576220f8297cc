import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Layout } from './layout.ts';
import { until } from './process.ts';

/** A process that outlives us, as noted in the run folder: the start time tells it from a reuse of its id. */
export type Daemon = { readonly role: string; readonly pid: number; readonly startTime: string };

const folder = (at: Layout): string => join(at.run, 'pids');

/** Field 22 of /proc/PID/stat, in clock ticks since boot; undefined when there is no such process (or only a zombie). */
const startTimeOf = (pid: number): string | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
};

/** Notes a process so that `down` ends it, in this run of the command or in a later one. */
export const note = (at: Layout, role: string, pid: number): Daemon => {
  const daemon = { role, pid, startTime: startTimeOf(pid) ?? 'gone' };
  mkdirSync(folder(at), { recursive: true });
  writeFileSync(join(folder(at), role), JSON.stringify(daemon));
  return daemon;
};

export const noted = (at: Layout): readonly Daemon[] => {
  try {
    return readdirSync(folder(at)).map(
      role => JSON.parse(readFileSync(join(folder(at), role), 'utf8')) as Daemon,
    );
  } catch {
    return [];
  }
};

export const alive = (daemon: Daemon): boolean => startTimeOf(daemon.pid) === daemon.startTime;

export const logFile = (at: Layout, role: string): string => join(at.logs, `${role}.log`);

/**
 * Starts a program in a session of its own, output to its log, and notes it.
 *
 * @throws Error when it cannot be started.
 */
export const start = (at: Layout, role: string, argv: readonly string[], path = ''): Daemon => {
  mkdirSync(at.logs, { recursive: true });
  const log = openSync(logFile(at, role), 'a');
  const [file = '', ...args] = argv;
  const env = { ...process.env, PATH: `${path || at.bin}:${process.env.PATH ?? ''}` };
  const child = spawn(file, args, { detached: true, stdio: ['ignore', log, log], env });
  closeSync(log);
  child.once('error', () => undefined);
  if (child.pid === undefined) throw new Error(`${role}: cannot start ${file}`);
  child.unref();
  return note(at, role, child.pid);
};

const kill = (daemon: Daemon): void => {
  try {
    if (alive(daemon)) process.kill(daemon.pid, 'SIGKILL');
  } catch {
    // It ended by itself in between.
  }
};

/** Kills and waits for the end, at most 10 s. */
export const end = async (daemons: readonly Daemon[]): Promise<void> => {
  daemons.forEach(kill);
  await until(`end of ${daemons.map(d => d.role).join(', ')}`, 10_000, () => !daemons.some(alive), 20);
};

/** The last lines of a log, for error messages. */
export const logTail = (at: Layout, role: string, lines = 15): string => {
  try {
    return readFileSync(logFile(at, role), 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } catch {
    return '(no log)';
  }
};

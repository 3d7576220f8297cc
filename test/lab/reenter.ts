/**
 * Runs a program again inside namespaces of its own (network, mounts, processes): whatever it
 * makes there, links, mounts, daemons, is gone with it, also when it is killed.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';

const MARK = 'WEFT_LAB_INSIDE';

export const inside = (): boolean => process.env[MARK] === '1';

/** Why this machine cannot hold a lab; undefined where it can. */
export const labUnavailable = (): string | undefined =>
  process.platform !== 'linux'
    ? 'namespaces need Linux'
    : userInfo().uid !== 0
      ? 'namespaces need root'
      : undefined;

/** What a lab's mount namespace starts with: nothing of the host's /run is seen or touched. */
const PREPARE = [
  'mount --make-rprivate /',
  'mount -t tmpfs -o mode=755 tmpfs /run',
  'mount -t tmpfs -o mode=755 tmpfs /mnt',
  'ip link set lo up',
  'exec "$@"',
].join(' && ');

/**
 * Starts `argv` again inside and resolves with its exit status. SIGINT and SIGTERM are passed
 * on; the inner program has 10 s to end by itself before the namespace is taken away.
 */
export function reenter(argv: readonly string[]): Promise<number> {
  const child = spawn(
    'unshare',
    [
      '--net',
      '--mount',
      '--pid',
      '--uts',
      '--fork',
      '--mount-proc',
      '--kill-child',
      '--',
      'sh',
      '-c',
      PREPARE,
      'lab',
      ...argv,
    ],
    { stdio: 'inherit', env: { ...process.env, [MARK]: '1' }, detached: true },
  );
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      signalInner(child.pid, 'SIGTERM');
      setTimeout(() => child.kill('SIGKILL'), 10_000).unref();
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? (signal === null ? 1 : 130)));
  });
}

/**
 * To the program alone, which is unshare's child: the whole group would also lose the hosts and
 * agents that the program wants to end by itself.
 */
function signalInner(pid: number | undefined, signal: NodeJS.Signals): void {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean);
    for (const child of children) process.kill(Number(child), signal);
  } catch {
    // Gone already.
  }
}

/** Which of a file's tests are asked for. */
const CHOICE = /^--test-(?:name|skip)-pattern=/;

/**
 * First line of a test file that needs a lab: outside, the file runs again inside and its results
 * are passed on; where that cannot be, it says so and ends.
 */
export async function enterLab(file: string): Promise<void> {
  if (inside()) return;
  const reason = labUnavailable();
  if (reason !== undefined) throw new Error(reason);
  const choice = process.execArgv.filter(word => CHOICE.test(word));
  process.exit(await reenter([process.execPath, ...choice, file]));
}

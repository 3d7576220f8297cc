/** A network and mount namespace held open by a sleeping process, and programs run inside it. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { PATIENCE } from './wait.ts';

export type Namespace = {
  /** Of the holder. */
  readonly pid: number;
  /** Path that a runtime would hand to a CNI plugin. */
  readonly netns: string;
  /** Runs to the end; rejects with stderr in the message. */
  readonly run: (argv: readonly string[], options?: RunOptions) => Promise<string>;
  /** Starts and returns; the caller ends it. */
  readonly start: (argv: readonly string[], options?: StartOptions) => ChildProcess;
  readonly end: () => Promise<void>;
};

export type RunOptions = {
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Longer on a slow machine, as `until` waits longer there. */
  readonly timeoutMs?: number;
};

export type StartOptions = {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdio?: 'ignore' | 'pipe' | readonly ['ignore', number, number];
};

/** A program that failed, with what it said. */
export class RunError extends Error {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  constructor(argv: readonly string[], code: number | null, stdout: string, stderr: string) {
    super(`${argv.join(' ')}: exit ${code}: ${(stderr || stdout).trim()}`);
    this.code = code;
    this.stdout = stdout;
    this.stderr = stderr;
  }
}

function run(argv: readonly string[], { stdin = '', env, timeoutMs = 30_000 }: RunOptions): Promise<string> {
  const [file = '', ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = execFile(
      file,
      args,
      {
        env: { ...process.env, ...env },
        timeout: timeoutMs * PATIENCE,
        killSignal: 'SIGKILL',
        maxBuffer: 64 << 20,
      },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else
          reject(
            new RunError(
              argv,
              typeof error.code === 'number' ? error.code : null,
              stdout,
              stderr || error.message,
            ),
          );
      },
    );
    child.stdin?.on('error', () => {});
    child.stdin?.end(stdin);
  });
}

/** In the namespaces of this process. */
export const here = (argv: readonly string[], options: RunOptions = {}): Promise<string> =>
  run(argv, options);

const ready = async (child: ChildProcess): Promise<void> => {
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('error', reject);
    child.once('exit', code => reject(new Error(`a namespace's holder ended with ${code}`)));
  });
};

async function hold(prefix: readonly string[], script: string): Promise<ChildProcess> {
  const argv: readonly string[] = [...prefix, 'sh', '-c', `${script} && echo ready && exec sleep infinity`];
  const child = spawn(argv[0] as string, argv.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
  await ready(child);
  child.removeAllListeners('exit');
  // It ends with the lab's own namespaces; nobody has to wait for it.
  child.stdout?.destroy();
  child.unref();
  return child;
}

const ended = (child: ChildProcess): Promise<void> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise(resolve => child.once('exit', () => resolve()));

function namespaceOf(child: ChildProcess): Namespace {
  const pid = child.pid as number;
  const enter = ['nsenter', '--target', String(pid), '--net', '--mount', '--'];
  return {
    pid,
    netns: `/proc/${pid}/ns/net`,
    run: (argv, options = {}) => run([...enter, ...argv], options),
    start: (argv, { env, stdio = 'ignore' } = {}) => {
      const [file = '', ...args] = [...enter, ...argv];
      return spawn(file, args, { env: { ...process.env, ...env }, stdio: stdio as 'ignore' });
    },
    end: async () => {
      child.kill('SIGKILL');
      await ended(child);
    },
  };
}

/** A host: its own network, and mounts on which `script` may work before anything runs there. */
export const newHost = async (script = 'true'): Promise<Namespace> =>
  namespaceOf(await hold(['unshare', '--net', '--mount'], `ip link set lo up && ${script}`));

/** A pod: its own network, the mounts of the host it is on. */
export const newPod = async (host: Namespace): Promise<Namespace> =>
  namespaceOf(
    await hold(
      ['nsenter', '--target', String(host.pid), '--net', '--mount', '--', 'unshare', '--net'],
      'true',
    ),
  );

/** The network of a host, with mounts of its own above the host's, on which `script` may work first. */
export const newMounts = async (host: Namespace, script: string): Promise<Namespace> =>
  namespaceOf(
    await hold(
      ['nsenter', '--target', String(host.pid), '--net', '--mount', '--', 'unshare', '--mount'],
      script,
    ),
  );

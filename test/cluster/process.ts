import { type SpawnOptions, spawn } from 'node:child_process';

export type Output = { readonly code: number; readonly stdout: string; readonly stderr: string };

export type RunOptions = {
  /** Default 60 000. The process is killed after that and the code is 137. */
  readonly timeoutMs?: number;
  readonly input?: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Pass output through to our own instead of collecting it. */
  readonly inherit?: boolean;
};

const spawnOptions = (options: RunOptions): SpawnOptions => ({
  stdio: options.inherit ? 'inherit' : 'pipe',
  timeout: options.timeoutMs ?? 60_000,
  killSignal: 'SIGKILL',
  env: { ...process.env, LC_ALL: 'C', ...options.env },
  ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
});

/**
 * Runs a program to its end. Resolves whatever its exit code is (137 when killed).
 *
 * @throws Error when it cannot be started at all.
 */
export const run = (argv: readonly string[], options: RunOptions = {}): Promise<Output> =>
  new Promise((resolve, reject) => {
    const [file = '', ...args] = argv;
    const child = spawn(file, args, spawnOptions(options));
    const out: string[] = [];
    const err: string[] = [];
    child.stdout?.setEncoding('utf8').on('data', (text: string) => out.push(text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => err.push(text));
    child.once('error', reject);
    child.once('close', code => resolve({ code: code ?? 137, stdout: out.join(''), stderr: err.join('') }));
    // A program that does not read its input must not take us down with EPIPE.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
  });

/** Runs a program that must succeed. @throws Error with command, code and output otherwise. */
export const must = async (argv: readonly string[], options: RunOptions = {}): Promise<string> => {
  const output = await run(argv, options);
  if (output.code !== 0) throw new Error(failureOf(argv, output));
  return output.stdout;
};

/** A failed command with its code and its last lines. */
export const failureOf = (argv: readonly string[], output: Output): string => {
  const said = `${output.stdout}${output.stderr}`.trim().split('\n').slice(-15).join('\n');
  const command = argv.join(' ');
  return `${command.slice(0, 300)}${command.length > 300 ? '…' : ''}: exit ${output.code}\n${said}`;
};

export const sleep = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

/**
 * Asks until the answer is neither undefined nor false.
 *
 * @throws Error naming `what` after `timeoutMs`; an error of `ask` counts as "not yet" and is then the cause.
 */
export const until = async <T>(
  what: string,
  timeoutMs: number,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  everyMs = 100,
): Promise<T> => {
  const end = Date.now() + timeoutMs;
  for (let cause: unknown; ; ) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
    } catch (error) {
      cause = error;
    }
    if (Date.now() > end) throw new Error(`${what}: not within ${timeoutMs / 1000} s`, { cause });
    await sleep(everyMs);
  }
};

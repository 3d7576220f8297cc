/** Runs the programs that the build needs. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const exec = promisify(execFile);

type Options = {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What to do when the program is not there. */
  readonly cure?: string;
};

const LOCALE = { LC_ALL: 'C.UTF-8' };

const words = (error: NodeJS.ErrnoException & { stderr?: string }, program: string, cure?: string): string =>
  error.code === 'ENOENT'
    ? `${program} is not installed${cure ? `: ${cure}` : ''}`
    : `${program} failed: ${(error.stderr || error.message).trim()}`;

/** Standard output. Rejects with the program's own words. */
export async function run(argv: readonly [string, ...string[]], options: Options = {}): Promise<string> {
  const [program, ...args] = argv;
  const env = { ...process.env, ...LOCALE, ...options.env };
  try {
    const { stdout } = await exec(program, args, {
      env,
      maxBuffer: 1 << 28,
      ...(options.cwd && { cwd: options.cwd }),
    });
    return stdout;
  } catch (error) {
    throw new Error(words(error as NodeJS.ErrnoException, program, options.cure), { cause: error });
  }
}

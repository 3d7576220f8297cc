/** Runs a script in Debian's kernel, which has WireGuard, over this machine's own files. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpio } from './cpio.ts';
import { initramfs } from './initramfs.ts';
import { runMachine } from './machine.ts';
import { debianKernel } from './package.ts';

export type Options = {
  /** In the guest; default is this process' own. */
  readonly cwd?: string;
  /** Beside PATH, HOME and what begins with WEFT_. */
  readonly env?: Readonly<Record<string, string>>;
  readonly bootMs?: number;
  readonly jobMs?: number;
  readonly memoryMb?: number;
  readonly cpus?: number;
  /** Takes the output while it comes. */
  readonly onOutput?: (chunk: Buffer) => void;
  readonly signal?: AbortSignal;
};

export type Result = {
  /** Standard output and errors in the order they came. */
  readonly output: string;
  readonly code: number;
};

export const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

const HANDED_ON = /^(PATH|HOME|LANG|LC_ALL|FORCE_COLOR|NO_COLOR|WEFT_\w+)$/;

const exportsOf = (env: Readonly<Record<string, string | undefined>>): string =>
  Object.entries(env)
    .map(([name, value]) => (value === undefined ? '' : `export ${name}=${quoted(value)}\n`))
    .join('');

const ownEnv = (): Readonly<Record<string, string | undefined>> =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => HANDED_ON.test(name)));

/**
 * `script` is of sh, and runs as root with this machine's programs and files; what it writes is gone with it.
 * Rejects where the machine did not come to the script's end: timeout, panic.
 */
export async function inKernel(script: string, options: Options = {}): Promise<Result> {
  const kernel = await debianKernel();
  const dir = mkdtempSync(join(tmpdir(), 'weft-kernel-'));
  try {
    const env = { ...ownEnv(), WEFT_GUEST_MODULES: join(kernel.root, 'lib/modules'), ...options.env };
    const job = cpio([
      { path: 'job.env', content: exportsOf(env) },
      { path: 'job.sh', content: `cd ${quoted(options.cwd ?? process.cwd())} || exit 126\n${script}\n` },
    ]);
    const initrd = join(dir, 'initrd');
    writeFileSync(initrd, Buffer.concat([readFileSync(await initramfs(kernel)), job]));
    const output: Buffer[] = [];
    const code = await runMachine({
      vmlinuz: kernel.vmlinuz,
      initrd,
      dir,
      memoryMb: options.memoryMb ?? 2048,
      cpus: options.cpus ?? 2,
      bootMs: options.bootMs ?? 120_000,
      jobMs: options.jobMs ?? 300_000,
      onOutput: chunk => {
        output.push(chunk);
        options.onOutput?.(chunk);
      },
      ...(options.signal && { signal: options.signal }),
    });
    return { output: Buffer.concat(output).toString(), code };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

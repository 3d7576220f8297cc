/** `npm run kernel -- CMD …` runs a command in Debian's kernel and ends with its status. */

import { kernelUnavailable } from './available.ts';
import { inKernel, quoted } from './boot.ts';

const USAGE = `npm run kernel -- [--minutes N] CMD [ARG …]

Runs CMD as root in Debian's kernel under QEMU, over a throw-away copy of this machine's files. One argument
alone is a line for sh. --minutes: how long it may take (default 5).
`;

async function main(argv: readonly string[]): Promise<number> {
  const [minutes, words] = argv[0] === '--minutes' ? [Number(argv[1]), argv.slice(2)] : [5, argv];
  if (words.length === 0 || words[0] === '--help' || !(minutes > 0)) {
    process.stderr.write(USAGE);
    return words[0] === '--help' ? 0 : 2;
  }
  const reason = await kernelUnavailable();
  if (reason !== undefined) throw new Error(reason);
  const ended = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => ended.abort());
  const { code } = await inKernel(words.length === 1 ? (words[0] as string) : words.map(quoted).join(' '), {
    jobMs: minutes * 60_000,
    onOutput: chunk => process.stdout.write(chunk),
    signal: ended.signal,
  });
  return code;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`kernel: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 125;
}

/** Command line → verb → exit code. */
import { meant } from '../discovery/typo.ts';
import { helpOf, overview } from './help.ts';
import { EXIT, type Io, UsageError } from './types.ts';
import { verbNames, verbs } from './verbs.ts';

const unknown = (io: Io, name: string): number => {
  const near = meant(name, verbNames);
  const hint = near === undefined ? `see ${io.name} help` : `did you mean ${near}?`;
  io.err(`${io.name}: there is no verb ${name}: ${hint}\n`);
  return EXIT.usage;
};

async function help(name: string | undefined, io: Io): Promise<number> {
  if (name === undefined) io.out(await overview(io.name));
  else if (!Object.hasOwn(verbs, name)) return unknown(io, name);
  else io.out(helpOf(await (verbs[name] as NonNullable<(typeof verbs)[string]>)(), io.name));
  return EXIT.ok;
}

/** Resolves with the exit code; never rejects for what a user or a cluster may do. */
export async function runCommand(argv: readonly string[], io: Io): Promise<number> {
  const [name = 'help', ...args] = argv;
  if (name === 'help' || name === '--help' || name === '-h') return help(args[0], io);
  const load = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
  if (load === undefined) return unknown(io, name);
  if (args.includes('--help') || args.includes('-h')) return help(name, io);
  try {
    return await (await load()).run(args, io);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const usage = error instanceof UsageError;
    io.err(`${io.name} ${name}: ${message}${usage ? `\nsee ${io.name} help ${name}` : ''}\n`);
    return usage ? EXIT.usage : EXIT.unreachable;
  }
}

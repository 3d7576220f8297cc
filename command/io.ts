/** The process that a verb runs in. */
import { basename } from 'node:path';
import { openAgents, openApi } from './open.ts';
import type { Io } from './types.ts';

/** `kubectl weft` where kubectl called us as its plugin, by our file's name. */
const calledAs = (): string =>
  basename(process.argv[1] ?? 'weft').startsWith('kubectl-weft') ? 'kubectl weft' : 'weft';

/** As in `weft peers | head`: whoever reads has seen enough. */
function endWithReader(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit();
  throw error;
}

export const processIo = (): Io => {
  const name = calledAs();
  process.stdout.on('error', endWithReader);
  return {
    out: text => void process.stdout.write(text),
    err: text => void process.stderr.write(text),
    color: process.stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb',
    width: process.stdout.isTTY ? process.stdout.columns : undefined,
    env: process.env,
    name,
    agents: where => openAgents(where, process.env, name === 'kubectl weft'),
    client: where => openApi(where, process.env),
    bare: async options => (await import('./bare.ts')).diagnoseBare(options),
  };
};

/** `weft version`. */
import { VERSION } from '../version.ts';
import { parseOptions } from './options.ts';
import { EXIT, type Verb } from './types.ts';

export const version: Verb = {
  name: 'version',
  summary: 'version of this program',
  usage: '  {weft} version [-o json]',
  run: async (args, io) => {
    const { json } = parseOptions(args);
    io.out(json ? `${JSON.stringify({ version: VERSION }, undefined, 2)}\n` : `weft ${VERSION}\n`);
    return EXIT.ok;
  },
};

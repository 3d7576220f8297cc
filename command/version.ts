/** `weft version`. */
import { VERSION } from '../version.ts';
import { parseOptions } from './options.ts';
import { object, string } from './shape.ts';
import { EXIT, type Verb } from './types.ts';

const shape = object({ version: string });

export const version: Verb = {
  name: 'version',
  summary: 'version of this program',
  usage: '  {weft} version [-o json]',
  shape,
  run: async (args, io) => {
    const { json } = parseOptions(args);
    io.out(json ? `${JSON.stringify({ version: VERSION }, undefined, 2)}\n` : `weft ${VERSION}\n`);
    return EXIT.ok;
  },
};

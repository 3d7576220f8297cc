/** `weft get PATH`: what an agent answers, as it is. Other machines' verbs call it by exec. */
import { parseOptions, WHERE_USAGE } from './options.ts';
import { EXIT, UsageError, type Verb } from './types.ts';

export const get: Verb = {
  name: 'get',
  summary: 'what an agent answers to GET PATH, such as /status',
  usage: `  {weft} get PATH [OPTIONS]

${WHERE_USAGE}

With several agents to ask, --node says which.`,
  run: async (args, io) => {
    const { where, positionals } = parseOptions(args);
    const [path, ...rest] = positionals;
    if (path === undefined || !path.startsWith('/') || rest.length > 0)
      throw new UsageError('say one path, such as /status');
    const agents = await io.agents(where);
    try {
      const nodes = (await agents.list()).map(ref => ref.node);
      const node = where.node ?? nodes[0];
      if (node === undefined) throw new Error('there is no weft agent');
      if (where.node === undefined && nodes.length > 1)
        throw new UsageError(`there are agents on ${nodes.join(', ')}: say --node NAME`);
      const answer = await agents.get(node, path);
      io.out(typeof answer === 'string' ? answer : `${JSON.stringify(answer, undefined, 2)}\n`);
      return EXIT.ok;
    } finally {
      agents.close();
    }
  },
};

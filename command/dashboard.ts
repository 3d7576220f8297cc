/** `weft dashboard`: the mesh as a page on loopback, until Ctrl-C. */
import { openCollector } from '../dashboard/collect.ts';
import { serveDashboard } from '../dashboard/server.ts';
import { parseOptions, WHERE_USAGE } from './options.ts';
import { EXIT, UsageError, type Verb } from './types.ts';

const PORT = 9808;
const PAUSE_MS = 2_000;
const AT_ONCE = 8;

const portOf = (text: string | undefined): number => {
  const port = Number(text ?? PORT);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new UsageError(`--port must be 0 to 65535, not ${text}`);
  return port;
};

const stopSignal = (): Promise<void> =>
  new Promise(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });

export const dashboard: Verb = {
  name: 'dashboard',
  summary: 'the mesh as a live page in your browser',
  usage: `  {weft} dashboard [--port PORT] [OPTIONS]

  --port PORT           on 127.0.0.1 (default ${PORT}; 0 takes any free one)
${WHERE_USAGE}

Serves on loopback only, with your own rights, until Ctrl-C. On a node it knows that node's view;
through the API server it asks all agents.`,
  run: async (args, io) => {
    const { where, values } = parseOptions(args, { port: { type: 'string' } }, { json: false });
    const port = portOf(values.port as string | undefined);
    const collector = openCollector({
      open: () => io.agents(where),
      pauseMs: PAUSE_MS,
      atOnce: AT_ONCE,
      only: where.node,
    });
    try {
      await collector.reports();
      const served = await serveDashboard(collector.reports, port);
      io.out(`the mesh is at ${served.url} until Ctrl-C\n`);
      await stopSignal();
      await served.close();
      return EXIT.ok;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      throw new Error(`port ${port} of 127.0.0.1 is taken: say --port PORT, or --port 0 for any free one`);
    } finally {
      collector.stop();
    }
  },
};

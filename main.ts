/**
 * One program: `weft agent`, the agent of one node, and the verbs that ask agents (command/).
 * Each loads only what it needs: a verb must not wait for the agent's rooms.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Config, fields, parseConfig } from './config.ts';
import { CONFIG_FILE } from './constants.ts';
import { VERSION } from './version.ts';

const USAGE = `weft ${VERSION}: the agent of one node

  weft agent [--config FILE] [--node NAME] [--kubeconfig FILE]   run it
  weft --print-config [--config FILE]                            print the settings in force
  weft --version
  weft help                                                      what you can ask agents

  --config      JSON file with settings (default ${CONFIG_FILE}; absent: all defaults)
  --node        name of this Node (default: environment NODE_NAME)
  --kubeconfig  how to reach the API server (default: in-cluster, then environment KUBECONFIG)
`;

const options = {
  config: { type: 'string' },
  node: { type: 'string' },
  kubeconfig: { type: 'string' },
  'print-config': { type: 'boolean' },
  version: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

const fail = (message: string): number => {
  process.stderr.write(`weft: ${message}\n`);
  return 1;
};

/** Absent file at the default place: no settings. Absent file that was asked for: an error. */
function readConfig(path: string | undefined): unknown {
  try {
    return JSON.parse(readFileSync(path ?? CONFIG_FILE, 'utf8'));
  } catch (error) {
    if (path === undefined && (error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new Error(`cannot read the configuration ${path ?? CONFIG_FILE}: ${String(error)}`);
  }
}

async function agent(
  config: Config,
  configPath: string,
  node: string | undefined,
  kubeconfig: string | undefined,
): Promise<number> {
  const nodeName = node ?? process.env.NODE_NAME;
  if (!nodeName)
    return fail(
      'the name of this Node is not known: set --node or NODE_NAME (in a pod: fieldRef spec.nodeName)',
    );
  const [{ pino }, { runAgent }] = await Promise.all([import('pino'), import('./agent/agent.ts')]);
  const log = pino({ level: config.logLevel, base: { node: nodeName } }, pino.destination({ sync: true }));
  return runAgent({ config, configPath, nodeName, kubeconfig, log });
}

async function own(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options });
  if (values.help) return process.stdout.write(USAGE) ? 0 : 1;
  if (values.version) return process.stdout.write(`weft ${VERSION}\n`) ? 0 : 1;
  const config = parseConfig(readConfig(values.config));
  if (!config.ok) return fail(`the configuration has errors:\n${config.error}`);
  if (values['print-config']) {
    const shown = Object.fromEntries(
      Object.keys(fields).map(name => [name, config.value[name as keyof Config] ?? null]),
    );
    return process.stdout.write(`${JSON.stringify(shown, undefined, 2)}\n`) ? 0 : 1;
  }
  return agent(config.value, values.config ?? CONFIG_FILE, values.node, values.kubeconfig);
}

/** All is written; a connection that an API server still tries to make to a node that is down is not waited for. */
async function finish(code: number): Promise<never> {
  for (const stream of [process.stdout, process.stderr])
    await new Promise<void>(resolve => stream.write('', () => resolve()));
  process.exit(code);
}

/** Without a verb the help: by mistake nobody shall start a second agent on a node. Options alone are the agent's. */
async function main(argv: readonly string[]): Promise<number> {
  const [first = 'help', ...rest] = argv;
  if (first === 'agent') return own(rest);
  if (first.startsWith('-') && first !== '--help' && first !== '-h') return own(argv);
  const [{ runCommand }, { processIo }] = await Promise.all([
    import('./command/run.ts'),
    import('./command/io.ts'),
  ]);
  return finish(await runCommand([first, ...rest], processIo()));
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = fail(error instanceof Error ? error.message : String(error));
}

/** `weft uninstall`: on a node, as root; everything of weft's goes. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Config, defaults, parseConfig } from '../config.ts';
import { CONFIG_FILE, RUN_DIR, STATE_DIR, STATUS_SOCKET, SYSCTL_RECORD } from '../constants.ts';
import { messageOf } from '../discovery/api-error.ts';
import type { Client } from '../discovery/client.ts';
import type { Places, Removal } from '../uninstall/types.ts';
import { openLocal } from './local.ts';
import { parseOptions } from './options.ts';
import { list, may, object, oneOf, said, string } from './shape.ts';
import { EXIT, type Io, UsageError, type Verb } from './types.ts';

/** The settings tell where binary and configuration were installed. */
function readConfig(asked: string | undefined): Config {
  const path = asked ?? CONFIG_FILE;
  if (asked === undefined && !existsSync(path)) return defaults();
  try {
    const config = parseConfig(JSON.parse(readFileSync(path, 'utf8')));
    if (!config.ok) throw new Error(`it has errors:\n${config.error}`);
    return config.value;
  } catch (error) {
    throw new UsageError(`the settings ${path} cannot be used: ${messageOf(error)}`);
  }
}

export const placesOf = (host: string, config: Config): Places => ({
  runDir: join(host, RUN_DIR),
  sysctlRecord: join(host, SYSCTL_RECORD),
  stateDir: join(host, STATE_DIR),
  cniBinDir: join(host, config.cniBinDir),
  cniConfDir: join(host, config.cniConfDir),
  wireguardDir: join(host, '/run/wireguard'),
});

async function agentRuns(host: string): Promise<boolean> {
  const socket = join(host, STATUS_SOCKET);
  if (!existsSync(socket)) return false;
  const agents = openLocal(socket);
  return agents
    .get('', '/healthz', 2_000)
    .then(
      () => true,
      // Any answer at all is an agent's; a socket that nobody listens on is left of one.
      error => !/is not running|ECONNREFUSED|ENOENT/.test(String(error)),
    )
    .finally(() => agents.close());
}

async function openApi(kubeconfig: string | undefined, config: Config): Promise<Client | undefined> {
  const { openClient } = await import('../discovery/client.ts');
  return openClient({ kubeconfig, apiServer: config.apiServer }).catch(() => undefined);
}

const line = (removal: Removal): string =>
  removal.kind === 'removed'
    ? `removed  ${removal.what}\n`
    : removal.kind === 'left'
      ? `left     ${removal.what}: ${removal.why}\n`
      : `FAILED   ${removal.what}: ${removal.error}\n`;

async function remove(
  places: Places,
  config: Config,
  node: string | undefined,
  kubeconfig: string | undefined,
) {
  const [{ openKernel }, { openFirewalls }, { uninstall }] = await Promise.all([
    import('../platform/linux/kernel.ts'),
    import('../platform/linux/firewall.ts'),
    import('../uninstall/uninstall.ts'),
  ]);
  const kernel = openKernel();
  const client = await openApi(kubeconfig, config);
  try {
    return await uninstall({ kernel, firewalls: openFirewalls(), places, client, nodeName: node });
  } finally {
    client?.close();
    await kernel.close();
  }
}

async function run(args: readonly string[], io: Io): Promise<number> {
  const { where, json, values, positionals } = parseOptions(args, {
    yes: { type: 'boolean', short: 'y' },
    force: { type: 'boolean' },
    host: { type: 'string' },
    config: { type: 'string' },
  });
  if (positionals.length > 0)
    throw new UsageError(`what is ${positionals[0]}? This works on this node alone`);
  if (values.yes !== true)
    throw new UsageError('it takes the network away from every pod of this node; say --yes if that is meant');
  const host = (values.host as string | undefined) ?? '/';
  const config = readConfig(values.config as string | undefined);
  if (values.force !== true && (await agentRuns(host))) {
    io.err(
      'weft uninstall: the agent of this node is running and would put everything back: end it first (kubectl -n weft delete daemonset weft weft-wireguard), or say --force\n',
    );
    return EXIT.trouble;
  }
  const removals = await remove(
    placesOf(host, config),
    config,
    where.node ?? io.env.NODE_NAME,
    where.kubeconfig,
  );
  if (json) io.out(`${JSON.stringify({ removals }, undefined, 2)}\n`);
  else
    io.out(removals.length === 0 ? 'there is nothing of weft on this node\n' : removals.map(line).join(''));
  return removals.some(removal => removal.kind === 'failed') ? EXIT.trouble : EXIT.ok;
}

const shape = object({
  removals: list(
    object({
      kind: oneOf('removed', 'left', 'failed'),
      what: string,
      why: may(said(string, 'of what was left')),
      error: may(said(string, 'of what failed')),
    }),
  ),
});

export const uninstall: Verb = {
  name: 'uninstall',
  summary: 'take everything of weft off this node, and nothing of others',
  usage: `  {weft} uninstall --yes [OPTIONS]    on a node, as root

  -y, --yes             needed: every pod of this node loses its network
  --force               also while the agent runs, which puts things back
  --host DIR            the host's file system is mounted at DIR (in a pod)
  --config FILE         the agent's settings (default ${CONFIG_FILE}; absent: all defaults)
  -n, --node NAME       its Node, whose annotations go too (default: environment NODE_NAME)
  --kubeconfig FILE     how to reach the API server (default: in-cluster, then KUBECONFIG)
  -o, --output json     for programs

Removes weft's links, routes, nft tables, rules in forward chains of others, CNI configuration and
binaries, state with the node's key, and puts settings of the kernel back that it had changed. A second
run finds nothing. manifests/uninstall.yaml runs it on every node; manifests/README.md tells how.
Exit code 1: the agent runs, or something could not be removed.`,
  shape,
  run,
};

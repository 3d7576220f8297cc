/** Which way to the agents: root on a node asks the agent there, everybody else the API server. */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { STATUS_SOCKET } from '../constants.ts';
import type { Client } from '../discovery/client.ts';
import type { Agents } from './agents.ts';
import { openLocal } from './local.ts';
import type { Where } from './types.ts';

const mayConnect = (path: string): Promise<boolean> =>
  access(path, constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );

/** `far`: called as kubectl's plugin, which speaks of the cluster and never of this machine. */
export async function openAgents(
  where: Where,
  env: Readonly<Record<string, string | undefined>>,
  far: boolean,
): Promise<Agents> {
  const asked = far || where.kubeconfig !== undefined || where.context !== undefined;
  const socket = env.WEFT_STATUS_SOCKET ?? STATUS_SOCKET;
  if (!asked && (await mayConnect(socket))) return openLocal(socket);
  const { openRemote } = await import('./remote.ts');
  return openRemote(where, env);
}

/** The API server of the kubeconfig. */
export const openApi = async (
  where: Where,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Client> => (await import('./remote.ts')).openClient(where, env);

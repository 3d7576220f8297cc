/**
 * Agents through the API server: their pods by label, and in each the verb `get` by exec. All with the rights of
 * the user's kubeconfig; no agent listens where a network could reach it.
 */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { ApiError, isForbidden } from '../discovery/api-error.ts';
import { type Client, clientOf } from '../discovery/client.ts';
import { type Access, findAccess } from '../discovery/kubeconfig.ts';
import { type AgentRef, type Agents, parseAnswer } from './agents.ts';
import { openExec } from './exec.ts';
import { byNode, type Pod } from './pods.ts';
import type { Where } from './types.ts';

const TIMEOUT_MS = 20_000;

/** Of the agents' pods; manifests/names.ts sets it. */
const SELECTOR = 'app.kubernetes.io/name=weft';

type Env = Readonly<Record<string, string | undefined>>;

/** As kubectl looks for it, except that of several files in KUBECONFIG the first is taken. */
function kubeconfigOf(where: Where, env: Env, otherwise: string): string {
  const inHome = join(env.HOME ?? homedir(), '.kube', 'config');
  const path = where.kubeconfig ?? env.KUBECONFIG?.split(':').find(Boolean) ?? inHome;
  if (!existsSync(path)) throw new Error(`there is no kubeconfig ${path}: say --kubeconfig FILE${otherwise}`);
  return path;
}

const accessOf = (where: Where, env: Env, otherwise = ''): Promise<Access> =>
  findAccess({ kubeconfig: kubeconfigOf(where, env, otherwise), context: where.context }, env);

/** Rejects with what is missing. */
export const openClient = async (where: Where, env: Env): Promise<Client> =>
  clientOf(await accessOf(where, env), TIMEOUT_MS);

/** Without an answer of the API server. */
const NOBODY =
  'the API server does not answer. The tunnels do not need it; on a node, root asks the agent there: weft status';

/** What the user can do about it. */
function explained(error: unknown): never {
  if (!(error instanceof ApiError)) throw error;
  if (error.status === undefined) throw new Error(`${error.message}: ${NOBODY}`, { cause: error });
  if (isForbidden(error))
    throw new Error(`${error.message}: your user needs list on pods in that namespace`, { cause: error });
  throw error;
}

/** Rejects with what is missing. */
export async function openRemote(where: Where, env: Env): Promise<Agents> {
  const access = await accessOf(
    where,
    env,
    ', or run as root on a node whose agent is running (weft doctor --local where it is not)',
  );
  const client = clientOf(access, TIMEOUT_MS);
  const exec = openExec(access, where.namespace);
  let refs: Promise<readonly AgentRef[]> | undefined;

  const read = async (): Promise<readonly AgentRef[]> => {
    const path = `/api/v1/namespaces/${encodeURIComponent(where.namespace)}/pods`;
    const answer = (await client.get(path, { query: { labelSelector: SELECTOR } }).catch(explained)) as {
      items?: Pod[];
    };
    const found = byNode(answer.items ?? []);
    if (found.length > 0) return found;
    throw new Error(
      `no weft pods (${SELECTOR}) in namespace ${where.namespace} of ${client.server}: install weft, or say --namespace`,
    );
  };
  const list = (): Promise<readonly AgentRef[]> => {
    refs ??= read();
    return refs;
  };
  const get = async (node: string, path: string, timeoutMs = TIMEOUT_MS): Promise<unknown> => {
    const ref = (await list()).find(r => r.node === node);
    if (ref?.pod === undefined) throw new Error(`there is no weft agent on a node ${node}`);
    return parseAnswer(await exec(ref.pod, ['weft', 'get', path], timeoutMs));
  };
  return { kind: 'remote', list, get, close: client.close };
}

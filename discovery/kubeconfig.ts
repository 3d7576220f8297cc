/**
 * Which API server, and with what credentials: the pod's service account or a kubeconfig file.
 * Of client-node only its parsers and its exec plugin runner are loaded: the whole of it takes
 * 90 MB, these 4.
 */
import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { dirname, resolve } from 'node:path';
import {
  type Cluster,
  newClusters,
  newContexts,
  newUsers,
  type User,
} from '@kubernetes/client-node/dist/config_types.js';
import { ExecAuth } from '@kubernetes/client-node/dist/exec_auth.js';

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where to go and how to prove who we are. Files are read again by `readCredentials`. */
export type Access = {
  /** Without a slash at its end. */
  readonly server: string;
  readonly cluster: Cluster;
  readonly user: User;
  /** Read again whenever credentials are: tokens of pods live an hour. */
  readonly tokenFile: string | undefined;
  /** Where it comes from, for error messages. */
  readonly source: string;
};

export type Credentials = {
  readonly ca: Buffer | undefined;
  readonly cert: Buffer | undefined;
  readonly key: Buffer | undefined;
  /** Value of the Authorization header. */
  readonly authorization: string | undefined;
  readonly serverName: string | undefined;
  readonly insecure: boolean;
  readonly headers: Readonly<Record<string, string>>;
};

const inCluster = (env: Environment): Access => {
  const host = env.KUBERNETES_SERVICE_HOST ?? '';
  const server = `https://${isIPv6(host) ? `[${host}]` : host}:${env.KUBERNETES_SERVICE_PORT ?? '443'}`;
  return {
    server,
    cluster: { name: 'in-cluster', server, caFile: `${SERVICE_ACCOUNT}/ca.crt`, skipTLSVerify: false },
    user: { name: 'in-cluster' },
    tokenFile: `${SERVICE_ACCOUNT}/token`,
    source: 'the pod’s service account',
  };
};

/** JSON is tried first, so that the YAML parser is loaded only where it is needed. */
async function parseText(text: string): Promise<Record<string, unknown>> {
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch {
    const { load } = await import('js-yaml');
    config = load(text);
  }
  if (typeof config !== 'object' || config === null) throw new Error('it is empty, or no kubeconfig');
  return config as Record<string, unknown>;
}

const absolute = <T extends object>(dir: string, holder: T, ...keys: readonly (keyof T)[]): T =>
  Object.fromEntries(
    Object.entries(holder).map(([key, value]) => [
      key,
      keys.includes(key as keyof T) && typeof value === 'string' ? resolve(dir, value) : value,
    ]),
  ) as T;

const need = <T>(value: T | undefined, message: string): T => {
  if (value === undefined) throw new Error(message);
  return value;
};

type Provider =
  | { readonly name?: string; readonly config?: { readonly tokenFile?: string } }
  | null
  | undefined;

const providerOf = (user: User): Provider => user.authProvider as Provider;

function refuseUnsupported(cluster: Cluster, user: User): void {
  const provider = providerOf(user);
  if (provider && provider.config?.tokenFile === undefined)
    throw new Error(
      `user ${user.name} has auth-provider ${provider.name}, which weft does not support: use a token, tokenFile, client certificate or exec plugin`,
    );
  if (cluster.proxyUrl) throw new Error(`cluster ${cluster.name} has proxy-url, which weft does not support`);
}

/** client-node reads a user's tokenFile once, at parsing; tokens change, so its path is kept. */
function tokenFileOf(json: Readonly<Record<string, unknown>>, user: User): string | undefined {
  const users = (Array.isArray(json.users) ? json.users : []) as readonly {
    readonly name?: unknown;
    readonly user?: { readonly tokenFile?: unknown } | null;
  }[];
  const file = users.find(u => u.name === user.name)?.user?.tokenFile ?? providerOf(user)?.config?.tokenFile;
  return typeof file === 'string' && file !== '' ? file : undefined;
}

async function fromFile(path: string, wanted: string | undefined): Promise<Access> {
  const json = await parseText(readFileSync(path, 'utf8'));
  const dir = dirname(path);
  const current = wanted ?? json['current-context'];
  const context = need(
    newContexts(json.contexts as never).find(c => c.name === current),
    `has no context ${JSON.stringify(current)}: set current-context to one of its contexts`,
  );
  const cluster = need(
    newClusters(json.clusters as never).find(c => c.name === context.cluster),
    `has no cluster ${context.cluster}, which its current context names`,
  );
  const user = newUsers(json.users as never).find(u => u.name === context.user) ?? { name: context.user };
  refuseUnsupported(cluster, user);
  const tokenFile = tokenFileOf(json, user);
  return {
    server: cluster.server.replace(/\/+$/, ''),
    cluster: absolute(dir, cluster, 'caFile'),
    user: absolute(dir, user, 'certFile', 'keyFile'),
    tokenFile: tokenFile && resolve(dir, tokenFile),
    source: path,
  };
}

async function choose(
  kubeconfig: string | undefined,
  context: string | undefined,
  env: Environment,
): Promise<Access> {
  if (kubeconfig === undefined && env.KUBERNETES_SERVICE_HOST) return inCluster(env);
  const path = kubeconfig ?? env.KUBECONFIG?.split(':')[0];
  if (!path)
    throw new Error(
      'no way to the API server is known: run in a pod, or give --kubeconfig or the environment variable KUBECONFIG',
    );
  try {
    return await fromFile(path, context);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`cannot use the kubeconfig ${path}: ${message}`, { cause: error });
  }
}

/** `kubeconfig`, else the pod's service account, else KUBECONFIG. `apiServer` replaces the URL of any. */
export async function findAccess(
  options: {
    readonly kubeconfig?: string | undefined;
    /** Of the kubeconfig; undefined: its current one. */
    readonly context?: string | undefined;
    readonly apiServer?: string | undefined;
  },
  env: Environment = process.env,
): Promise<Access> {
  const access = await choose(options.kubeconfig, options.context, env);
  return options.apiServer === undefined
    ? access
    : { ...access, server: options.apiServer.replace(/\/+$/, '') };
}

const fileOrData = (file: string | undefined, data: string | undefined): Buffer | undefined => {
  if (file) return readFileSync(file);
  return data ? Buffer.from(data, 'base64') : undefined;
};

type PluginResult = {
  readonly headers: Record<string, string>;
  readonly cert?: string;
  readonly key?: string;
};

async function runPlugin(user: User): Promise<PluginResult> {
  const options: PluginResult = { headers: {} };
  if (user.exec) await new ExecAuth().applyAuthentication(user, options as never);
  return options;
}

function authorize({ user, tokenFile }: Access, plugin: PluginResult): string | undefined {
  const token = tokenFile === undefined ? user.token : readFileSync(tokenFile, 'utf8').trim();
  if (token) return `Bearer ${token}`;
  if (user.username)
    return `Basic ${Buffer.from(`${user.username}:${user.password ?? ''}`).toString('base64')}`;
  return plugin.headers.Authorization;
}

/** Reads the files and runs the exec plugin that the access names. Throws what they throw. */
export async function readCredentials(access: Access): Promise<Credentials> {
  const { cluster, user } = access;
  const plugin = await runPlugin(user);
  return {
    ca: fileOrData(cluster.caFile, cluster.caData),
    cert: plugin.cert ? Buffer.from(plugin.cert) : fileOrData(user.certFile, user.certData),
    key: plugin.key ? Buffer.from(plugin.key) : fileOrData(user.keyFile, user.keyData),
    authorization: authorize(access, plugin),
    serverName: cluster.tlsServerName,
    insecure: cluster.skipTLSVerify,
    headers: user.impersonateUser ? { 'Impersonate-User': user.impersonateUser } : {},
  };
}

/** `GET /doctor`: looks at this node and asks the API server, changes nothing, and says what it finds. */
import type { Config } from '../config.ts';
import { ANNOTATION_PREFIX } from '../constants.ts';
import { messageOf } from '../discovery/api-error.ts';
import type { Client } from '../discovery/client.ts';
import { RIGHTS, type Right } from '../discovery/rights.ts';
import { checks } from '../doctor/checks.ts';
import type { Diagnosis, NodeFacts } from '../doctor/types.ts';
import type { Kernel } from '../platform/linux/types.ts';
import { attempt, readKernelFacts } from './kernelfacts.ts';
import { getLocal } from './local.ts';
import type { StatusReport } from './report.ts';
import { settingsNow } from './settings.ts';

type Deps = {
  readonly config: Config;
  /** Where the settings came from. */
  readonly configPath: string;
  readonly kernel: Kernel;
  readonly client: Client;
  readonly nodeName: string;
  readonly status: () => Promise<StatusReport>;
};

const REVIEWS = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

async function askRight(
  client: Client,
  right: Right,
): Promise<Right & { readonly allowed: boolean | undefined }> {
  const { group, resource, subresource, verb } = right;
  const body = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: {
      resourceAttributes: { group, resource, verb, ...(subresource !== undefined && { subresource }) },
    },
  };
  const answer = await attempt(() => client.post(REVIEWS, body));
  const { status } = (answer ?? {}) as { readonly status?: { readonly allowed?: boolean } };
  return { ...right, allowed: status?.allowed };
}

/** An annotation that is a user's, not ours, written without effect: only the admission policy can refuse it. */
async function isGuarded(client: Client, node: string): Promise<boolean | undefined> {
  const body = { metadata: { annotations: { [`${ANNOTATION_PREFIX}doctor`]: 'may I?' } } };
  try {
    await client.patch(`/api/v1/nodes/${encodeURIComponent(node)}`, body, { query: { dryRun: 'All' } });
    return false;
  } catch (error) {
    return /ValidatingAdmissionPolicy/.test(messageOf(error)) ? true : undefined;
  }
}

type NodeObject = {
  readonly status?: {
    readonly nodeInfo?: { readonly kubeletVersion?: string };
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly message?: string;
    }[];
  };
};

async function askNode(client: Client, name: string): Promise<NodeFacts['node']> {
  const node = (await attempt(() => client.get(`/api/v1/nodes/${encodeURIComponent(name)}`))) as
    | NodeObject
    | undefined;
  const ready = node?.status?.conditions?.find(c => c.type === 'Ready');
  if (node === undefined || ready === undefined) return undefined;
  return {
    kubeletVersion: node.status?.nodeInfo?.kubeletVersion ?? 'unknown',
    notReady: ready.status === 'True' ? undefined : (ready.message ?? 'no reason is given'),
  };
}

/** kube-proxy's own port for metrics, on every node that runs it with its defaults. */
const askProxy = async (): Promise<string | undefined> => {
  const mode = await attempt(() => getLocal(10_249, '/proxyMode'));
  return mode !== undefined && /^[a-z]{2,20}$/.test(mode) ? mode : undefined;
};

async function gather({ config, configPath, kernel, client, nodeName, status }: Deps): Promise<NodeFacts> {
  const [report, facts, proxyMode, guarded, node, rights] = await Promise.all([
    status(),
    readKernelFacts(kernel),
    askProxy(),
    isGuarded(client, nodeName),
    askNode(client, nodeName),
    Promise.all(RIGHTS.map(right => askRight(client, right))),
  ]);
  return {
    ...facts,
    status: report,
    antiSpoofing: config.antiSpoofing,
    proxyMode,
    rights,
    guarded,
    node,
    cniBinDir: config.cniBinDir,
    cniConfDir: config.cniConfDir,
    clusterCidrsSet: config.clusterCidrs.length > 0,
    settings: settingsNow(configPath, config),
  };
}

export async function diagnose(deps: Deps): Promise<Diagnosis> {
  const found = checks(await gather(deps));
  return { node: deps.nodeName, now: Date.now(), checks: found };
}

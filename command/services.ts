/** Services by the API server, with the user's own rights: agents know none. */
import { isForbidden, isNotFound, messageOf } from '../discovery/api-error.ts';
import type { Client } from '../discovery/client.ts';
import type { Ip } from '../types.ts';
import { parseService, type Service } from './service.ts';

const SLICES = '/apis/discovery.k8s.io/v1/namespaces';
const PAGE = 500;

export type Services = {
  /** Rejects where there is none, or it cannot be asked. */
  readonly named: (namespace: string, name: string) => Promise<Service>;
  /** Whose ClusterIP, external or load balancer's address it is; undefined: of none. */
  readonly at: (ip: Ip) => Promise<Service | undefined>;
  /** Its EndpointSlices, as they are. */
  readonly slices: (service: Service) => Promise<readonly unknown[]>;
};

const said = (error: unknown, what: string, right: string): Error =>
  new Error(
    isForbidden(error)
      ? `${what} cannot be looked up: your user needs ${right}`
      : `${what} cannot be looked up: ${messageOf(error)}`,
    { cause: error },
  );

type Page = { readonly items?: readonly unknown[]; readonly metadata?: { readonly continue?: string } };

async function pages(client: Client, path: string, labelSelector?: string): Promise<readonly unknown[]> {
  const found: unknown[] = [];
  let more: string | undefined;
  do {
    const query = { limit: PAGE, continue: more, labelSelector };
    const page = (await client.get(path, { query })) as Page;
    found.push(...(page.items ?? []));
    more = page.metadata?.continue || undefined;
  } while (more !== undefined);
  return found;
}

export const servicesOf = (client: Client): Services => ({
  named: async (namespace, name) => {
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/services/${encodeURIComponent(name)}`;
    try {
      return parseService(await client.get(path));
    } catch (error) {
      if (isNotFound(error))
        throw new Error(`there is no Service ${namespace}/${name}: see kubectl -n ${namespace} get services`);
      throw said(error, `Service ${namespace}/${name}`, `get on services in namespace ${namespace}`);
    }
  },
  at: async ip => {
    const all = await pages(client, '/api/v1/services').catch((error: unknown) => {
      throw said(error, `the Service at ${ip}`, 'list on services in all namespaces (or say svc/NAME)');
    });
    return all.map(parseService).find(s => s.clusterIps.includes(ip) || s.otherIps.includes(ip));
  },
  slices: ({ namespace, name }) =>
    pages(
      client,
      `${SLICES}/${encodeURIComponent(namespace)}/endpointslices`,
      `kubernetes.io/service-name=${name}`,
    ).catch((error: unknown) => {
      const what = `the endpoints of Service ${namespace}/${name}`;
      throw said(error, what, `list on endpointslices.discovery.k8s.io in namespace ${namespace}`);
    }),
});

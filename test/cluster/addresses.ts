/**
 * The addresses of a test cluster. All of them exist inside its own network namespaces only, so they may
 * repeat what the machine itself uses.
 */

/** Pod ranges; every node gets a /24 and a /64 of them. */
export const POD_CIDRS = ['10.42.0.0/16', 'fd00:10:42::/56'] as const;

/** Service ranges. */
export const SERVICE_CIDRS = ['10.43.0.0/16', 'fd00:10:43::/112'] as const;

/** ClusterIP of the API server: the first address of each Service range. */
export const API_SERVICE_IPS = ['10.43.0.1', 'fd00:10:43::1'] as const;

/** ClusterIP of the cluster's DNS, if it has one. */
export const DNS_SERVICE_IP = '10.43.0.10';

export const CLUSTER_DOMAIN = 'cluster.local';

export const API_PORT = 6443;

/** An end on the underlay. */
export type Ends = { readonly ipv4: string; readonly ipv6: string };

const underlay = (host: number): Ends => ({ ipv4: `192.168.77.${host}`, ipv6: `fd00:77::${host}` });

/** Prefix lengths on the underlay. */
export const UNDERLAY_PREFIX = { ipv4: 24, ipv6: 64 } as const;

/** The underlay's bridge: everybody's default gateway, and a host outside of the cluster for tests. */
export const GATEWAY = underlay(1);

/** The control plane. */
export const CONTROL = underlay(10);

/** Node `index`, counted from 1. */
export const nodeEnds = (index: number): Ends => underlay(10 + index);

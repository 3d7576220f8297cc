/** What tests of policies say of objects and packets, in few words. */
import assert from 'node:assert/strict';
import { NETWORKPOLICIES } from '../apiserver/resources.ts';
import type { LabPod, PolicyLab, PolicyObject } from './lab.ts';
import type { Protocol } from './prober.ts';

export const policy = (
  namespace: string,
  name: string,
  spec: Readonly<Record<string, unknown>>,
): PolicyObject => ({
  metadata: { namespace, name },
  spec: { podSelector: {}, ...spec },
});

export const deny = (namespace: string, ...types: readonly string[]): PolicyObject =>
  policy(namespace, `deny-${types.join('-').toLowerCase()}`, { policyTypes: types });

/** These and no others. */
export async function onlyIn(
  { lab, policies }: PolicyLab,
  ...objects: readonly PolicyObject[]
): Promise<void> {
  for (const { metadata } of lab.api.store.list(NETWORKPOLICIES))
    lab.api.store.remove(NETWORKPOLICIES, String(metadata.namespace), String(metadata.name));
  await policies(objects);
}

/** From pod to address; one that shall pass is waited for longer. */
export async function reaches(
  from: LabPod,
  ip: string | undefined,
  protocol: Protocol,
  port: number,
  allowed: boolean,
) {
  const { ok, source } = await from.prober.try(protocol, ip ?? '', port, allowed ? 8_000 : 300);
  assert.equal(ok, allowed, `${from.key} to ${ip} by ${protocol}/${port} must ${allowed ? '' : 'not '}pass`);
  return source;
}

export const both = ({ pod: { v4, v6 } }: LabPod): readonly (string | undefined)[] => [v4, v6];

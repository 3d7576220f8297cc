/** Events are kept as core/v1; events.k8s.io/v1 spells the same fields in another way. Pure. */
import type { Json, KubeObject } from './object.ts';
import { EVENTS, GROUP_EVENTS } from './resources.ts';

/** core → events.k8s.io */
const SPELLINGS: readonly (readonly [core: string, group: string])[] = [
  ['involvedObject', 'regarding'],
  ['message', 'note'],
  ['source', 'deprecatedSource'],
  ['firstTimestamp', 'deprecatedFirstTimestamp'],
  ['lastTimestamp', 'deprecatedLastTimestamp'],
  ['count', 'deprecatedCount'],
  ['reportingComponent', 'reportingController'],
];

const rename = (object: Json, names: ReadonlyMap<string, string>): Json =>
  Object.fromEntries(Object.entries(object).map(([key, value]) => [names.get(key) ?? key, value]));

const TO_GROUP = new Map(SPELLINGS);
const TO_CORE = new Map(SPELLINGS.map(([core, group]) => [group, core]));

/** As it is kept. */
export const toCore = (object: Json): Json => ({
  ...rename(object, TO_CORE),
  apiVersion: EVENTS.apiVersion,
});

/** As events.k8s.io/v1 shows it. */
export const toGroup = (object: KubeObject): KubeObject =>
  ({ ...rename(object, TO_GROUP), apiVersion: GROUP_EVENTS.apiVersion }) as KubeObject;

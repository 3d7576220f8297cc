/** This node's key, made anew where an older Node holds it, and its successor while it is rotated. */
import { type LoadedKey, loadKey, prepareKey, renewKey, takeNextKey } from '../discovery/keystore.ts';
import { readMachineId } from './machine.ts';

export type Identity = {
  readonly key: () => LoadedKey;
  /**
   * Throws away our key, whose `reason` is for people; the mesh takes the new one at the next pass.
   * False where that was done a short while ago: somebody copies our keys as we make them.
   */
  readonly renew: (reason: string) => boolean;
  /** Makes the key that is to follow, on disk beside ours. */
  readonly prepare: (token: string | undefined) => void;
  /** The key that was to follow is ours; the old one is forgotten. */
  readonly takeNext: () => void;
};

const RENEW_MS = 600_000;

/** Throws where the key file is damaged: it is never silently replaced. */
export function openIdentity(dir: string, nodeName: string): Identity {
  const owner = { dir, nodeName, machineId: readMachineId() };
  let key = loadKey(owner);
  let renewedAt = Number.NEGATIVE_INFINITY;
  return {
    key: () => key,
    renew: reason => {
      if (performance.now() - renewedAt < RENEW_MS) return false;
      renewedAt = performance.now();
      key = renewKey(owner, reason);
      return true;
    },
    prepare: token => {
      key = prepareKey(owner, key, token);
    },
    takeNext: () => {
      key = takeNextKey(owner, key);
    },
  };
}

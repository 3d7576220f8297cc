/** What this machine says of itself. */
import { readFileSync } from 'node:fs';

/** systemd's machine-id; empty where there is none, and then a cloned disk cannot be told. */
export function readMachineId(): string {
  try {
    return readFileSync('/etc/machine-id', 'utf8').trim();
  } catch {
    return '';
  }
}

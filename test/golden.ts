/** Golden files: whole outputs kept as text. `npm run golden` writes them anew; read the diff before you commit. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** Holds `actual` to the file beside the test. */
export function golden(file: string, actual: string): void {
  if (process.env.WEFT_GOLDEN === 'write') {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, actual);
  }
  assert.equal(actual, readFileSync(file, 'utf8'), `${file} differs; if that is meant: npm run golden`);
}

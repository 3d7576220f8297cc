/** The bench's own programs in C, built where they are needed and removed at the end. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** `source`: a file beside this one. `command`: compiler and flags. @returns the program's path */
export function compile(source: string, command: readonly string[]): string {
  const dir = mkdtempSync('/tmp/weft-bench-');
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  const program = join(dir, 'program');
  const [compiler = 'gcc', ...flags] = command;
  execFileSync(compiler, [...flags, '-O2', '-o', program, join(import.meta.dirname, source)]);
  return program;
}

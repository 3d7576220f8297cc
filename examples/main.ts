/** `npm run example NAME`. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const there = readdirSync(import.meta.dirname).filter(name =>
  existsSync(join(import.meta.dirname, name, 'expected.txt')),
);
const [name = ''] = process.argv.slice(2);

if (there.includes(name)) {
  const { status } = spawnSync(process.execPath, [join(import.meta.dirname, name, 'main.ts')], {
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
} else {
  process.stderr.write(
    `${name ? `there is no example ${name}` : 'which example?'}; there are ${there.join(', ')}\n`,
  );
  process.exitCode = 2;
}

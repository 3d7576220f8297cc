/** How often the kernel's table is read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newLooks } from '../../policy/looks.ts';

/** Looks at every moment at which it may, with news all the time or never; the part of the time that it takes. */
function share(lookMs: number, news: boolean): { readonly looks: number; readonly share: number } {
  const looks = newLooks();
  const end = 3_600_000;
  let count = 0;
  for (let now = 0; now < end; now += 100) {
    if (news) looks.suspect(now);
    if (!looks.due(now)) continue;
    count += 1;
    looks.begin(now);
    looks.end(now + lookMs);
    now += lookMs;
  }
  return { looks: count, share: (count * lookMs) / end };
}

test('the first look is due at once, and one a minute without news', () => {
  assert.equal(newLooks().due(0), true);
  assert.equal(share(10, false).looks, 60);
});

for (const lookMs of [10, 300, 2_000, 6_000, 20_000])
  for (const news of [true, false])
    test(`looks of ${lookMs} ms ${news ? 'with' : 'without'} news take at most a twentieth of the time`, () => {
      const { looks, share: part } = share(lookMs, news);
      assert.ok(part <= 0.051, `${part}`);
      assert.ok(looks >= 1);
    });

test('news that come while the table is read wait for the next look, and half a second at least', () => {
  const looks = newLooks();
  looks.begin(1_000);
  looks.suspect(1_005);
  looks.end(1_010);
  assert.equal(looks.due(1_400), false);
  assert.equal(looks.wait(1_400), 100);
  assert.equal(looks.due(1_500), true);
  looks.begin(1_500);
  looks.end(1_510);
  assert.equal(looks.wait(1_600), undefined);
});

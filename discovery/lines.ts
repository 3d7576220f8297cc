/** A stream of bytes as lines, without keeping more than one of them. */

/**
 * Whole lines only: what follows the last newline when the stream ends was cut off and is left out.
 * Throws where a line is longer than `max` characters.
 */
export async function* readLines(chunks: AsyncIterable<Uint8Array>, max: number): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop() as string;
    if (rest.length > max) throw new Error(`a line is longer than ${max} characters`);
    yield* parts.filter(part => part.trim() !== '');
  }
}

/** A stream of bytes as lines, without keeping more than one of them. */
import { ApiError } from './api-error.ts';

/**
 * Whole lines only: what follows the last newline when the stream ends was cut off and is left out.
 * Throws ApiError where a line is longer than `max` characters.
 */
export async function* readLines(chunks: AsyncIterable<Uint8Array>, max: number): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop() as string;
    if (rest.length > max)
      throw new ApiError(`a line of the watch is longer than ${max} characters`, { reason: 'Malformed' });
    yield* parts.filter(part => part.trim() !== '');
  }
}

"""The size of the best prefix code, found by merging the two rarest symbols."""

import heapq


def bits_of_a_huffman_code(counts):
    heap = sorted(int(count) for count in counts)
    total = 0
    while len(heap) > 1:
        pair = heapq.heappop(heap) + heapq.heappop(heap)
        total += pair
        heapq.heappush(heap, pair)
    return total

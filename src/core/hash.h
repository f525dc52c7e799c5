/* A keyed hash for tables: the seed keeps others from choosing what collides. */
#ifndef EG_CORE_HASH_H
#define EG_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t eg_hash_mix(uint64_t value)
{
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93u;
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93u;
    return value ^ (value >> 32);
}

static inline uint64_t eg_hash_bytes(const void *bytes, size_t length, uint64_t seed)
{
    const unsigned char *at = bytes;
    uint64_t hash = seed ^ (length * 0x9e3779b97f4a7c15u), word;

    for (; length >= 8; at += 8, length -= 8) {
        memcpy(&word, at, 8);
        hash = (hash ^ eg_hash_mix(word + seed)) * 0x9e3779b97f4a7c15u;
    }
    if (length > 0) {
        word = 0;
        memcpy(&word, at, length);
        hash = (hash ^ eg_hash_mix(word + seed)) * 0x9e3779b97f4a7c15u;
    }
    return eg_hash_mix(hash);
}

#endif

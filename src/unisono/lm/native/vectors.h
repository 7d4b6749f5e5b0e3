/* Vectors of float32 as the instruction set has them. */

#ifdef __AVX512F__

typedef __m512 Vector;
#define WIDTH 16
#define MOST_ROWS 6 /* whose sums of four vectors stay in registers */
#define zero() _mm512_setzero_ps()
#define all(x) _mm512_set1_ps(x)
#define load(p) _mm512_loadu_ps(p)
#define store(p, v) _mm512_storeu_ps(p, v)
#define add(a, b) _mm512_add_ps(a, b)
#define subtract(a, b) _mm512_sub_ps(a, b)
#define multiply(a, b) _mm512_mul_ps(a, b)
#define divide(a, b) _mm512_div_ps(a, b)
#define multiply_add(a, b, c) _mm512_fmadd_ps(a, b, c)
#define load_half(p) _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(p)))
#define load_int8(p) _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(p))))
#define total(v) _mm512_reduce_add_ps(v)
/* Of two operands of which one is not a number these give the second. */
#define larger(a, b) _mm512_max_ps(a, b)
#define smaller(a, b) _mm512_min_ps(a, b)
#define nearest(v) _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define times_power_of_two(v, n) _mm512_scalef_ps(v, n)

#else

typedef __m256 Vector;
#define WIDTH 8
#define MOST_ROWS 2
#define zero() _mm256_setzero_ps()
#define all(x) _mm256_set1_ps(x)
#define load(p) _mm256_loadu_ps(p)
#define store(p, v) _mm256_storeu_ps(p, v)
#define add(a, b) _mm256_add_ps(a, b)
#define subtract(a, b) _mm256_sub_ps(a, b)
#define multiply(a, b) _mm256_mul_ps(a, b)
#define divide(a, b) _mm256_div_ps(a, b)
#define multiply_add(a, b, c) _mm256_fmadd_ps(a, b, c)
#define load_half(p) _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p)))
#define load_int8(p) _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(p))))
#define larger(a, b) _mm256_max_ps(a, b)
#define smaller(a, b) _mm256_min_ps(a, b)
#define nearest(v) _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

static inline float total(Vector v) {
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

static inline Vector times_power_of_two(Vector v, Vector n) {
    const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_mul_ps(v, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}

#endif

/* e to the v: 2^n · e^r with |r| ≤ ln 2 / 2, the latter by its series up to r^7, for v from -87 to 88 and as
   there beyond. Not a number stays so. */
static inline Vector exponential(Vector v) {
    v = smaller(all(88.0f), larger(all(-87.0f), v));
    const Vector n = nearest(multiply(v, all(1.44269504f)));
    Vector r = multiply_add(n, all(-0.693359375f), v); /* ln 2 in two parts, so that nothing is lost */
    r = multiply_add(n, all(2.12194440e-4f), r);
    Vector sum = all(1.0f / 5040);
    sum = multiply_add(sum, r, all(1.0f / 720));
    sum = multiply_add(sum, r, all(1.0f / 120));
    sum = multiply_add(sum, r, all(1.0f / 24));
    sum = multiply_add(sum, r, all(1.0f / 6));
    sum = multiply_add(sum, r, all(0.5f));
    sum = multiply_add(sum, r, all(1.0f));
    sum = multiply_add(sum, r, all(1.0f));
    return times_power_of_two(sum, n);
}

/* v / (1 + e^-v) */
static inline Vector silu(Vector v) { return divide(v, add(all(1.0f), exponential(subtract(zero(), v)))); }

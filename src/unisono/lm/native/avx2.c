/* Kernels in AVX2, FMA and F16C. */
#include "kernels.h"

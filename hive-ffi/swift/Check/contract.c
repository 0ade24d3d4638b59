/* Compiles the C header that the Swift sources stand on, and asks the library for its contract. */

#include <inttypes.h>
#include <stdio.h>

#ifndef __clang__
/* What Swift's own compiler knows. */
#define _Nonnull
#define _Nullable
#endif
#include "CHiveFFI.h"

int main(void)
{
    uint32_t contract = ffi_hive_ffi_uniffi_contract_version();
    return printf("%" PRIu32 "\n", contract) < 0;
}

/* Runs an exported network on a Cortex-M4 without an operating system, in QEMU's board mps2-an386: prints for
   each image the digit, the logits' bits and the time, then the stack that all of it took.

   The SysTick timer counts the processor's 25 MHz. With -icount shift=0, QEMU lets an instruction take 1 ns, so
   a tick is 40 instructions. */
#include <stdint.h>

#include "under20k.h"

#define SYSTICK ((volatile uint32_t*)0xE000E010) /* control, reload, current */
#define COPROCESSOR_ACCESS ((volatile uint32_t*)0xE000ED88)
#define UNTOUCHED 0xA5A5A5A5u

extern const uint8_t images[], images_end[]; /* 784 bytes an image */
extern uint32_t data_start[], data_end[], data_source[], bss_start[], bss_end[], stack_top[];

/* Ask the debugger, which is QEMU: 4 prints a string, 0x18 ends the run. */
static void semihosting(int operation, const void* argument) {
    register int r0 __asm__("r0") = operation;
    register const void* r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

static void print(uint32_t value, char end) {
    char text[10];
    for (int i = 0; i < 8; i++) text[i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15];
    text[8] = end;
    text[9] = 0;
    semihosting(4, text);
}

static void run(void) {
    for (const uint8_t* image = images; image < images_end; image += 784) {
        union {
            float logits[10];
            uint32_t bits[10];
        } scores;
        float probabilities[10];
        const uint32_t start = SYSTICK[2];
        const int digit = under20k_digit(image, probabilities);
        const uint32_t ticks = (start - SYSTICK[2]) & 0xFFFFFF; /* it counts down, with 24 bits */
        under20k_logits(image, scores.logits);
        print((uint32_t)digit, ' ');
        print(ticks, ' ');
        for (int i = 0; i < 10; i++) print(scores.bits[i], i < 9 ? ' ' : '\n');
    }
}

void reset(void) {
    uint32_t* word;
    *COPROCESSOR_ACCESS |= 0xFu << 20; /* the floating-point unit */
    __asm__ volatile("dsb\n isb");
    for (word = data_start; word < data_end; word++) *word = data_source[word - data_start];
    for (word = bss_start; word < bss_end; word++) *word = 0;
    for (word = bss_end; word < (uint32_t*)__builtin_frame_address(0) - 64; word++) *word = UNTOUCHED;
    SYSTICK[1] = 0xFFFFFF;
    SYSTICK[2] = 0;
    SYSTICK[0] = 5; /* on, the processor's clock */
    run();
    for (word = bss_end; *word == UNTOUCHED; word++) {}
    print((uint32_t)((uint8_t*)stack_top - (uint8_t*)word), '\n');
    semihosting(0x18, (void*)0x20026);
    for (;;) {}
}

static void fault(void) {
    semihosting(4, "fault\n");
    semihosting(0x18, (void*)0x20023);
    for (;;) {}
}

__attribute__((section(".vectors"), used)) static const struct {
    void* stack;
    void (*handlers[15])(void);
} vectors = {stack_top, {reset, fault, fault, fault, fault, fault}};

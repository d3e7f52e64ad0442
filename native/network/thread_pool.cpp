#include "thread_pool.h"

namespace under20k {

namespace {

// Rounds of work follow each other within microseconds, faster than the system wakes a thread; but a core is
// not ours to burn while another program wants it.
constexpr int SPINS = 4000;

void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Waits until `value` is no longer `old`.
template <typename T>
void await_change(const std::atomic<T>& value, T old) {
    for (int spin = 0; spin < SPINS; ++spin) {
        if (value.load(std::memory_order_acquire) != old) return;
        pause();
    }
    value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int threads) : shares_(static_cast<size_t>(threads)) {
    others_.reserve(static_cast<size_t>(threads - 1));
    try {
        for (int thread = 1; thread < threads; ++thread) others_.emplace_back([this, thread] { live(thread); });
    } catch (...) {  // the system grants no more: end those that it did
        stop_ = true;
        round_.fetch_add(1);
        round_.notify_all();
        for (auto& other : others_) other.join();
        throw;
    }
}

ThreadPool::~ThreadPool() {
    stop_ = true;
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    for (auto& other : others_) other.join();
}

void ThreadPool::run(int tasks, Call call, const void* context) {
    const int count = threads();
    descending_ = !descending_;
    if (count == 1 || tasks == 1) {
        for (int index = 0; index < tasks; ++index) call(context, descending_ ? tasks - 1 - index : index, 0);
        return;
    }
    for (int thread = 0; thread < count; ++thread) {
        auto& share = shares_[static_cast<size_t>(thread)];
        share.begin = static_cast<int>(static_cast<int64_t>(tasks) * thread / count);
        share.next.store(share.begin, std::memory_order_relaxed);
        share.end = static_cast<int>(static_cast<int64_t>(tasks) * (thread + 1) / count);
    }
    call_ = call;
    context_ = context;
    busy_.store(count - 1, std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    work(0);
    for (int left = busy_.load(std::memory_order_acquire); left != 0; left = busy_.load(std::memory_order_acquire))
        await_change(busy_, left);
}

void ThreadPool::work(int thread) {
    const int count = threads();
    for (int other = 0; other < count; ++other) {
        auto& share = shares_[static_cast<size_t>((thread + other) % count)];
        while (share.next.load(std::memory_order_relaxed) < share.end) {
            const int index = share.next.fetch_add(1, std::memory_order_relaxed);
            if (index >= share.end) break;
            call_(context_, descending_ ? share.begin + share.end - 1 - index : index, thread);
        }
    }
}

void ThreadPool::live(int thread) {
    for (uint32_t seen = 0;; ++seen) {
        await_change(round_, seen);
        if (stop_.load(std::memory_order_acquire)) return;
        work(thread);
        if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) busy_.notify_one();
    }
}

}  // namespace under20k

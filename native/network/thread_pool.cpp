#include "network/thread_pool.h"

namespace under20k {

namespace {

// Rounds of work follow each other within microseconds, faster than the system wakes a thread; but other
// programs want the core, too.
constexpr int SPINS = 4000;

void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Wait until `value` is no longer `old`.
template <typename T>
void await_change(const std::atomic<T>& value, T old) {
    for (int spin = 0; spin < SPINS; ++spin) {
        if (value.load(std::memory_order_acquire) != old) return;
        pause();
    }
    value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(ptrdiff_t threads) : queues_(static_cast<size_t>(threads)) {
    workers_.reserve(static_cast<size_t>(threads - 1));
    try {
        for (ptrdiff_t thread = 1; thread < threads; ++thread)
            workers_.emplace_back([this, thread] { worker(thread); });
    } catch (...) {  // the system grants no more threads: end those that have started
        stop();
        throw;
    }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
    stop_ = true;
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    for (auto& worker : workers_) worker.join();
}

void ThreadPool::run(ptrdiff_t tasks, Call call, const void* context) {
    const ptrdiff_t count = threads();
    descending_ = !descending_;
    if (count == 1 || tasks == 1) {
        for (ptrdiff_t index = 0; index < tasks; ++index)
            call(context, descending_ ? tasks - 1 - index : index, 0);
        return;
    }
    for (ptrdiff_t thread = 0; thread < count; ++thread) {
        Queue& queue = queues_[thread];
        queue.begin = tasks * thread / count;
        queue.next.store(queue.begin, std::memory_order_relaxed);
        queue.end = tasks * (thread + 1) / count;
    }
    call_ = call;
    context_ = context;
    busy_.store(count - 1, std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    work(0);
    for (ptrdiff_t left = busy_.load(std::memory_order_acquire); left != 0;
         left = busy_.load(std::memory_order_acquire))
        await_change(busy_, left);
}

// Take tasks from the thread's own queue, then from the others'.
void ThreadPool::work(ptrdiff_t thread) {
    const ptrdiff_t count = threads();
    for (ptrdiff_t other = 0; other < count; ++other) {
        Queue& queue = queues_[(thread + other) % count];
        while (queue.next.load(std::memory_order_relaxed) < queue.end) {
            const ptrdiff_t index = queue.next.fetch_add(1, std::memory_order_relaxed);
            if (index >= queue.end) break;
            call_(context_, descending_ ? queue.begin + queue.end - 1 - index : index, thread);
        }
    }
}

void ThreadPool::worker(ptrdiff_t thread) {
    for (uint32_t seen = 0;; ++seen) {
        await_change(round_, seen);
        if (stop_.load(std::memory_order_acquire)) return;
        work(thread);
        if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) busy_.notify_one();
    }
}

}  // namespace under20k

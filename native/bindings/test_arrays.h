// NumPy arrays as groups of images, for the bindings of single kernels.

#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

#include "bindings/isa.h"
#include "network/memory.h"

namespace nb = nanobind;

namespace under20k {

void add_kernel_tests(nb::module_& module);
void add_operation_tests(nb::module_& module);

constexpr float INVALID = 1e9f;

template <typename T, int DIMENSIONS>
using In = nb::ndarray<const T, nb::ndim<DIMENSIONS>, nb::c_contig, nb::device::cpu>;
using Maps = In<float, 4>;
using Values = In<float, 1>;
template <typename T>
using Result = nb::ndarray<nb::numpy, T>;

inline ptrdiff_t extent(const Maps& array, size_t axis) { return static_cast<ptrdiff_t>(array.shape(axis)); }

template <typename T>
Span<const T> span(const In<T, 1>& array) {
    return {array.data(), static_cast<ptrdiff_t>(array.size())};
}
inline Span<const float> span(const std::optional<Values>& array) {
    return array ? span(*array) : Span<const float>();
}

// A NumPy array of its own, copied from `values`.
template <typename T>
Result<T> result(Span<const T> values, std::initializer_list<ptrdiff_t> shape) {
    auto owned = std::make_unique<T[]>(static_cast<size_t>(values.size));
    std::copy_n(values.data, values.size, owned.get());
    std::vector<size_t> sizes;
    for (const ptrdiff_t size : shape) sizes.push_back(static_cast<size_t>(size));
    T* data = owned.release();
    const nb::capsule owner(data, [](void* memory) noexcept { delete[] static_cast<T*>(memory); });
    return Result<T>(data, sizes.size(), sizes.data(), owner);
}

// A framed map with its values, from and to arrays.
struct GroupMap {
    Map map;
    ptrdiff_t lanes;
    Floats values;

    GroupMap(const Kernels& kernels, const Map& shape)
        : map(shape), lanes(kernels.lanes), values(shape.size() * kernels.lanes) {}

    template <typename Function>
    void each(ptrdiff_t images, const Function& function) const {
        const Span<float> all = values.all();
        for (ptrdiff_t i = 0; i < images; ++i)
            for (ptrdiff_t c = 0; c < map.channels; ++c)
                for (ptrdiff_t y = 0; y < map.height; ++y)
                    for (ptrdiff_t x = 0; x < map.width; ++x) {
                        const ptrdiff_t at = ((i * map.channels + c) * map.height + y) * map.width + x;
                        function(at, i, all[map.at(c, y, x) * lanes + i]);
                    }
    }

    void load(const Maps& array, float invalid) const {
        const ptrdiff_t images = extent(array, 0);
        if (extent(array, 1) != map.channels || extent(array, 2) != map.height ||
            extent(array, 3) != map.width || images > lanes)
            throw std::invalid_argument("an array of the map's shape, at most an image a lane");
        each(lanes, [&](ptrdiff_t at, ptrdiff_t image, float& value) {
            value = image < images ? array.data()[at] : invalid;
        });
    }

    Result<float> array(ptrdiff_t images) const {
        std::vector<float> out(static_cast<size_t>(images * map.channels * map.height * map.width));
        each(images, [&](ptrdiff_t at, ptrdiff_t, float& value) { out[at] = value; });
        return result<float>({out.data(), std::ssize(out)}, {images, map.channels, map.height, map.width});
    }
};

inline Map map_of(const Maps& array, ptrdiff_t frame_y, ptrdiff_t frame_x) {
    return {.channels = extent(array, 1),
            .height = extent(array, 2),
            .width = extent(array, 3),
            .frame_y = frame_y,
            .frame_x = frame_x};
}

inline Span<const float> span(const Maps& array) {
    return {array.data(), static_cast<ptrdiff_t>(array.size())};
}

}  // namespace under20k
